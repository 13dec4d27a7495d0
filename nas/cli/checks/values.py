"""Checks of single values in the composed configuration."""

from __future__ import annotations

import re

from omegaconf import DictConfig, ListConfig, OmegaConf

from nas.cli.checks.batch import check_batch
from nas.cli.checks.trainer import check_trainer
from nas.cli.overrides.value_type import AUTO
from nas.utils.errors import NasError
from nas.utils.program import job_command
from nas.utils.ranges import COUNT, POSITIVE, Range, check_number

THREADS = Range(1, 4096, whole=True)
BUDGET = ("macs", "parameters", "latency_ms", "multiplier_lr")
"""Numbers of a budget."""


def check_grid(cfg: DictConfig, sweeping: bool) -> None:
    """Raise NasError if ``hparams_search`` is chosen without -m, which would run one job and ignore the grid."""
    chosen = cfg.hydra.runtime.choices.get("hparams_search")
    if chosen is not None and not sweeping:
        raise NasError(f"hparams_search={chosen}: a grid runs several jobs. Use -m hparams_search={chosen}.")


def check_config(cfg: DictConfig) -> None:
    """Raise NasError for values of the right type that no run can have."""
    for key in ("method", "space", "dataset", "trainer"):
        node = cfg.get(key)
        if key in cfg and (not isinstance(node, DictConfig) or not isinstance(node.get("_target_"), str)):
            raise NasError(
                f"{key}: the file of this choice has no _target_. Set {key}._target_ to the dotted name of a class."
            )
    unnamed = "training" in cfg and (OmegaConf.is_missing(cfg, "genotype") or cfg.genotype is None)
    if unnamed and cfg.get("weights") is None:
        raise NasError(
            f"genotype is missing: {job_command('train')} genotype=X with X the run directory of a search, a "
            "genotype.json, a published name, or a native string in quotes"
        )
    if type(cfg.seed) is not int or not 0 <= cfg.seed < 2**32:
        raise NasError(f"seed={cfg.seed}: give a whole number from 0 to {2**32 - 1}.")
    for key, value in (("epochs", cfg.epochs), ("trainer.max_epochs", cfg.trainer.max_epochs)):
        if type(value) is not int or value < 1:
            raise NasError(f"{key}={value}: give a whole number of epochs, at least 1.")
    for key in ("method.name", "space.name"):
        name = OmegaConf.select(cfg, key)
        if key.partition(".")[0] in cfg and re.fullmatch(r"[\w.+-]+", str(name)) is None:
            raise NasError(f"{key}={name}: use letters, digits, and any of . _ + -")
    check_number("threads", cfg.threads, THREADS)
    if not (cfg.tf32 is None or isinstance(cfg.tf32, bool)):
        raise NasError(f"tf32={cfg.tf32}: use true, false or null.")
    _check_memory_options(cfg)
    if "evaluation" in cfg:
        check_number("evaluation.runs", cfg.evaluation.runs, COUNT)
        check_number("ema", cfg.ema, Range(0, 1, above=True, below=True))
    _check_budget(cfg)
    check_trainer(cfg)
    check_batch(cfg)


def _check_budget(cfg: DictConfig) -> None:
    """Raise NasError for limits that are not positive numbers."""
    measured = OmegaConf.select(cfg, "budget.hw_nas_bench")
    if measured is not None and not isinstance(measured, DictConfig):
        raise NasError(f"budget.hw_nas_bench={measured}: it takes keys. Use budget.hw_nas_bench.pixel3_latency=NUMBER.")
    network = OmegaConf.select(cfg, "budget.network")
    if network is not None and not isinstance(network, DictConfig):
        raise NasError(f"budget.network={network}: it takes keys. Use budget.network={{channels: 16}}.")
    hardware = [f"hw_nas_bench.{name}" for name in map(str, measured or ()) if name != "dataset"]
    for name in (*BUDGET, *hardware):
        check_number(f"budget.{name}", OmegaConf.select(cfg, f"budget.{name}"), POSITIVE)


def _check_memory_options(cfg: DictConfig) -> None:
    """Raise NasError for options on the memory of a step in a run that takes no such steps."""
    checkpointing = "activation_checkpointing=true" if cfg.get("activation_checkpointing") else None
    automatic = f"dataset.batch_size={AUTO}" if cfg.dataset.get("batch_size") == AUTO else None
    given = automatic or checkpointing
    if given is None:
        return
    if automatic and cfg.mode not in ("search", "train"):
        raise NasError(f"{given}: mode={cfg.mode} takes no training steps. Set a number, or leave it out.")
    if "method" in cfg and ("evaluator" in cfg.method or "proxies" in cfg.method):
        raise NasError(f"{given}: method={cfg.method.name} trains no supernet by gradient steps. Leave it out.")
    devices = cfg.trainer.devices
    single = len(devices) == 1 if isinstance(devices, ListConfig) else devices in (1, "1")
    if automatic and not (single and cfg.trainer.num_nodes == 1):
        raise NasError(f"{given}: the size is found on a single device. Use trainer.devices=1, or set a number.")
