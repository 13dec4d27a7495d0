"""Construction of data set, space, search, networks' options and trainer from a composed configuration."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.callbacks import EMAWeightAveraging, ProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler
from pytorch_lightning.utilities import rank_zero_only

from nas.callbacks.activation_checkpointing import ActivationCheckpointing
from nas.callbacks.guards.stop_signal import StopOnSignal
from nas.callbacks.recording.epoch_metrics import EpochMetrics
from nas.callbacks.recording.time_left import ExpectedTime
from nas.cli.build_parts import build_parts, check_class
from nas.cli.checks.inputs import check_inputs
from nas.cli.checks.options import check_network, check_network_choice
from nas.cli.checks.requirements import check_requirements
from nas.cli.run_dir.checkpoints import AtomicCheckpointIO
from nas.cli.run_dir.cluster import cluster_plugins, join_ranks
from nas.cli.run_dir.layout import SPLIT_RECORD
from nas.cli.run_dir.start import log_start
from nas.cli.run_dir.start_panel import StartPanel
from nas.cli.run_dir.terminal import is_terminal
from nas.cli.run_dir.wandb_run import sync_command
from nas.data.base import ImageData
from nas.data.kinds import DataSet
from nas.data.text.base import TextData
from nas.searches.base import Search
from nas.spaces.base import Space
from nas.utils.errors import NasError
from nas.utils.process_memory import keep_freed_memory
from nas.utils.user_path import user_path

log = logging.getLogger(__name__)
NOT_OPTIONS = ("epochs", "requires", "space", "warmup_ratio")
"""Keys of a method that its class does not take."""

LOGGER_PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow"}
"""Packages of the loggers that are extras."""

MIN_PROCESSES = 8
"""Processes on a CPU that are accepted on any machine; further ones need a core each."""

PROFILERS: dict[str, type[Profiler]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}


@rank_zero_only
def log_dataset_defaults(cfg: DictConfig, unused: Sequence[str] = ()) -> None:
    """Log the settings of the run that the data set provides and that no override replaces, except ``unused`` ones."""
    names = [name for name in cfg.get("dataset_defaults") or {} if OmegaConf.is_interpolation(cfg, name)]
    names = [name for name in names if name not in unused]
    if names:
        chosen = HydraConfig.get().runtime.choices["dataset"]
        log.info("defaults       dataset=%s sets %s", chosen, " ".join(f"{name}={cfg[name]}" for name in names))


def build_data(cfg: DictConfig, **options: Any) -> DataSet:
    """Build the data set; no file is read yet. ``options`` replace those of the configuration."""
    cfg.paths.data = str(user_path(cfg.paths.data))
    given = OmegaConf.masked_copy(cfg.dataset, [str(key) for key in cfg.dataset if key != "global_batch_size"])
    given._set_parent(cfg)
    if "batch_size" in given and given.batch_size is None:  # a job that loads no training batches
        options = {"batch_size": cfg.dataset.get("global_batch_size"), **options}
    data: Any = instantiate(given, **options, _convert_="all")
    if not isinstance(data, ImageData | TextData):
        raise NasError(
            f"dataset._target_={cfg.dataset._target_}: {type(data).__name__} is not a nas.data.base.ImageData. Derive "
            "it from ImageData or TextData (docs/extending.md), or use dataset=folder."
        )
    return data


def follow_split(data: DataSet, *runs: str | Path | None) -> None:
    """Use the images of the first of these runs that recorded its split (dataset.split=nas_bench_201).

    Args:
        data: data set that is not set up yet.
        runs: run directories, or files in them or in their checkpoints/; other texts are ignored.
    """
    for run in runs:
        path = user_path(str(run))
        for directory in (path, path.parent, path.parent.parent):
            record = directory / SPLIT_RECORD
            if data.official is not None and os.path.isfile(record) and os.path.isdir(directory / ".hydra"):
                data.official.follow(record)
                return


def dataset_name() -> str:
    """Return the name of the chosen file of the group ``dataset``."""
    return str(HydraConfig.get().runtime.choices["dataset"])


def chosen_names(cfg: DictConfig) -> dict[str, str]:
    """Return the names of the parts that a run consists of, by configuration group."""
    choices = HydraConfig.get().runtime.choices
    return {group: str(choices[group]) for group in ("method", "space", "dataset") if group in cfg}


def build_space(cfg: DictConfig, data: DataSet) -> Space:
    """Build the space for the image shape and the number of classes of a data set.

    Raises NasError if the networks of the space do not take the kind of data, images or text.
    """
    check_inputs(cfg, data.inputs)
    space: Space = instantiate(cfg, shape=data.shape, classes=data.classes, _convert_="all")
    check_class("space", space, Space)
    return space


def build_search(cfg: DictConfig, space: Space) -> Search:
    """Build the search of a method on a space. Raises NasError if the method is not defined on the space."""
    check_requirements(cfg, cfg._get_parent()["space"], space)  # type: ignore[index]
    network = (cfg.get("evaluator") or {}).get("network")
    if network is not None:
        check_network("evaluator.network", space, network)
    method = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key not in NOT_OPTIONS])
    method._set_parent(cfg._get_parent())
    search: Search = instantiate(method, space=space, _convert_="all")
    check_class("method", search, Search)
    return search


def network_options(space: Space, cfg: DictConfig, published: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the options of the network of a configuration over ``published`` ones.

    Options of ``network`` that are not null replace those of ``searched_network``, the network of the search.

    Raises:
        NasError: for an option that the networks of the space do not have.
    """
    check_network_choice(space, cfg.network)
    options = dict(published)
    for group in ("searched_network", "network"):
        plain: Any = OmegaConf.to_container(cfg[group], resolve=True)
        options |= {str(name): value for name, value in plain.items() if value is not None}
    check_network("network", space, options)
    return options


def build_averaging(decay: float | None) -> list[pl.Callback]:
    """Build the callback for an exponential moving average of the weights, none if ``decay`` is None.

    The averaged weights replace the trained ones in test and model.pt.
    """
    if decay is None:
        return []
    return [EMAWeightAveraging(decay=float(decay))]


def build_checkpointing(enabled: bool) -> list[pl.Callback]:
    """Build the callback for activation checkpointing, none unless it is enabled."""
    return [ActivationCheckpointing()] if enabled else []


def build_trainer(
    cfg: DictConfig,
    first: Sequence[pl.Callback] = (),
    last: Sequence[pl.Callback] = (),
    facts: Mapping[str, Any] | None = None,
) -> pl.Trainer:
    """Build the trainer with its loggers, and its callbacks between those of ``first`` and ``last``.

    The loggers receive the configuration, in which ``facts`` replace the values of the same keys.

    Raises:
        NasError: if the configuration chooses a GPU and there is none, or too many processes on the CPU.
    """
    if cfg.trainer.accelerator in ("gpu", "cuda") and not torch.backends.mps.is_available():
        _check_cuda(cfg)
    if cfg.trainer.enable_progress_bar is None:
        with open_dict(cfg):
            cfg.trainer.enable_progress_bar = is_terminal()
    loggers = build_loggers(cfg, facts or {})
    callbacks: list[pl.Callback] = build_parts(cfg, "callbacks", pl.Callback)
    callbacks += [ExpectedTime(), StopOnSignal(), StartPanel()]  # before the progress bar, which is below the panel
    if cfg.trainer.enable_progress_bar and not any(isinstance(callback, ProgressBar) for callback in callbacks):
        from nas.callbacks.progress_bar import RunProgressBar

        callbacks.append(RunProgressBar())
    given = instantiate(cfg.trainer.get("plugins") or [], _convert_="all")
    trainer: pl.Trainer = instantiate(
        cfg.trainer,
        logger=loggers or False,
        callbacks=[*first, EpochMetrics(), *callbacks, *last],
        plugins=[AtomicCheckpointIO(), *cluster_plugins(given), *given],
        profiler=_profiler(cfg),
        _convert_="all",
    )
    check_class("trainer", trainer, pl.Trainer)
    most = max(MIN_PROCESSES, os.cpu_count() or 1)
    if isinstance(trainer.accelerator, CPUAccelerator) and trainer.num_devices > most:
        raise NasError(
            f"trainer.devices={trainer.num_devices}: each is a process on the CPU, and this machine allows {most}. Use "
            f"at most {most}."
        )
    log_start(cfg, trainer)
    join_ranks(trainer, cfg, chosen_names(cfg))
    return trainer


def build_loggers(cfg: DictConfig, facts: Mapping[str, Any]) -> list[Logger]:
    """Build the loggers and log the configuration, in which ``facts`` replace the values of the same keys.

    Raises:
        NasError: if the package of a logger is not installed.
    """
    for name in (name for name, part in (cfg.get("logger") or {}).items() if part):
        module = LOGGER_PACKAGES.get(str(name))
        if module is not None and importlib.util.find_spec(module) is None:
            raise NasError(f"logger={name}: {module} is not installed. Run pip install 'nas-compose[{name}]'.")
    loggers: list[Logger] = build_parts(cfg, "logger", Logger)
    if loggers:
        options: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)
        for logger in loggers:
            logger.log_hyperparams({**options, **facts})
    return loggers


def _profiler(cfg: DictConfig) -> Profiler | None:
    """Build the profiler; one that is given by name writes its report to the run directory."""
    given: Any = cfg.trainer.get("profiler")
    if not isinstance(given, str):
        return None if given is None else instantiate(given, _convert_="all")
    log.info("profile        %s", Path(cfg.paths.output, "fit-profile.txt"))
    return PROFILERS[given](dirpath=cfg.paths.output, filename="profile")


def set_threads(cfg: DictConfig) -> None:
    """Set the number of CPU threads, if ``threads`` is not null, and keep freed memory for the next step."""
    keep_freed_memory()
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)


def set_tf32(enabled: bool | None) -> None:
    """Set whether float32 operations may use TF32 on a GPU; None: PyTorch's default, only in convolutions.

    It is set in any case, because the jobs of a sweep share the process.
    """
    torch.set_float32_matmul_precision("high" if enabled else "highest")
    torch.backends.cudnn.allow_tf32 = enabled is not False


def seed_and_threads(cfg: DictConfig) -> None:
    """Set the number of CPU threads and the use of TF32, and seed all generators."""
    set_threads(cfg)
    set_tf32(cfg.tf32)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)


def device_without_trainer(cfg: DictConfig) -> torch.device:
    """Return the device for a job without a trainer. Raises NasError if CUDA is set and not available."""
    automatic = cfg.trainer.accelerator == "auto" and torch.cuda.is_available()
    if cfg.trainer.accelerator not in ("gpu", "cuda") and not automatic:
        return torch.device("cpu")
    _check_cuda(cfg)
    return torch.device("cuda")


def _check_cuda(cfg: DictConfig) -> None:
    if not torch.cuda.is_available():
        raise NasError(
            f"trainer.accelerator={cfg.trainer.accelerator}: PyTorch {torch.__version__} finds no GPU. Use trainer=cpu "
            "or install a driver and a PyTorch with CUDA."
        )


def precision(cfg: DictConfig) -> str:
    """Return Lightning's full name of ``trainer.precision``."""
    given = str(cfg.trainer.get("precision") or "32-true")
    return {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}.get(given, given)


def finish_wandb() -> None:
    """Close the W&B run, so that the next job of a sweep starts another one; log the command that uploads it."""
    wandb: Any = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        command = sync_command(wandb.run)
        wandb.finish(exit_code=1 if sys.exc_info()[0] else 0)
        if command is not None:
            log.info("upload         %s", command)
