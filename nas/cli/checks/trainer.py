"""Checks of the options of Lightning's Trainer before anything is built."""

from __future__ import annotations

import re
from typing import Any

from omegaconf import DictConfig, ListConfig

from nas.utils.errors import NasError, unknown
from nas.utils.ranges import COUNT, NOT_NEGATIVE, Range, check

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")
PRECISIONS: tuple[str, ...] = (
    "16-mixed",
    "bf16-mixed",
    "16-true",
    "bf16-true",
    "32-true",
    "64-true",
    "16",
    "bf16",
    "32",
    "64",
)
PRECISIONS += ("transformer-engine", "transformer-engine-float16")
PROFILERS = ("simple", "advanced", "pytorch")
BATCHES = {
    "limit_train_batches": False,
    "limit_val_batches": True,
    "limit_test_batches": False,
    "overfit_batches": True,
    "val_check_interval": False,
}
"""Options that take a number of batches or a share of them, and whether 0 is one."""
MAX_DEVICES = 1024
TIME_UNITS = ("weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds")


def check_trainer(cfg: DictConfig) -> None:
    """Raise NasError for values of the trainer that no run can have, or that have another key here."""
    trainer = cfg.trainer
    for name, choices in (("accelerator", ACCELERATORS), ("precision", PRECISIONS), ("profiler", PROFILERS)):
        value = trainer.get(name)
        if value is not None and not isinstance(value, DictConfig) and str(value) not in choices:
            raise unknown(f"trainer.{name}", str(value), choices)
    if trainer.get("deterministic") not in (None, True, False, "warn"):
        raise NasError(f"trainer.deterministic={trainer.deterministic}: use true, false or warn.")
    if not _are_devices(trainer.get("devices")):
        raise NasError(
            f"trainer.devices={trainer.devices}: use a number from 1 to {MAX_DEVICES}, -1 for all, auto, or a list of "
            "indices such as [0,1]."
        )
    for name, empty in BATCHES.items():
        _check_batches(f"trainer.{name}", trainer.get(name), empty)
    _check_time(trainer.get("max_time"))
    _check_minima(trainer)
    several = trainer.get("devices") not in (None, 1, "1") or trainer.get("num_nodes") not in (None, 1)
    if trainer.get("sync_batchnorm") and several and trainer.get("accelerator") == "cpu":
        raise NasError(
            "trainer.sync_batchnorm=true: PyTorch synchronizes batch norm between GPUs only. Use trainer=ddp, or leave "
            "it out."
        )
    _check_elsewhere(cfg)


def check_strategy(name: Any) -> None:
    """Raise NasError for the name of a strategy that Lightning does not have."""
    if not isinstance(name, str) or name == "auto":
        return
    from pytorch_lightning.strategies import StrategyRegistry  # after the checks that need no torch

    known = StrategyRegistry.available_strategies()
    if name not in known:
        raise unknown("trainer.strategy", name, ["auto", *known])


def _check_minima(trainer: DictConfig) -> None:
    """Raise NasError for a smallest length above the largest one, which would have no effect."""
    for unit, unlimited in (("epochs", None), ("steps", -1)):
        low, high = trainer.get(f"min_{unit}"), trainer.get(f"max_{unit}", unlimited)
        if low in COUNT and high in COUNT and low > high:
            raise NasError(f"trainer.min_{unit}={low}: above trainer.max_{unit}={high}. Set at most {high}.")


def _check_time(value: Any) -> None:
    """Raise NasError unless ``value`` is a duration, or null for none."""
    if isinstance(value, str):
        valid = re.fullmatch(r"\s*\d+:\d\d:\d\d:\d\d\s*", value) is not None
    elif isinstance(value, DictConfig):
        numbers = all(number in NOT_NEGATIVE for number in value.values())
        valid = "_target_" in value or (bool(value) and set(map(str, value)) <= set(TIME_UNITS) and numbers)
    else:
        valid = value is None
    if not valid:
        raise NasError(f"trainer.max_time={value}: use DD:HH:MM:SS, such as 00:01:30:00, or keys such as {{hours: 1}}.")


def _are_devices(value: Any) -> bool:
    if isinstance(value, ListConfig):
        return bool(value) and all(type(index) is int and index >= 0 for index in value)
    if isinstance(value, str):
        return value == "auto" or re.fullmatch(r"-1|\d{1,4}(,\s*\d{1,4})*,?", value) is not None
    return value is None or (type(value) is int and (value == -1 or 1 <= value <= MAX_DEVICES))


def _check_batches(key: str, value: Any, empty: bool) -> None:
    """Raise NasError unless ``value`` is a number of batches or a share of them."""
    if value is None or value in COUNT or (empty and value == 0 and not isinstance(value, bool)):
        return
    if isinstance(value, float) and value <= 1:
        check(key, value, Range(0, 1, above=True))
    else:
        none = ", or 0 for none" if empty else ""
        raise NasError(
            f"{key}={value}: use a whole number of batches, or a share of them above 0 and at most 1.0{none}."
        )


def _check_elsewhere(cfg: DictConfig) -> None:
    """Raise NasError for options that have another key in a search or a training."""
    job, part, scope = "training", "training", ""
    if "method" in cfg:
        job, part, scope = "search", "method.weight_step", " (and method.weight_step.clip_params)"
    for name, group in (("logger", "logger=NAME"), ("callbacks", "callbacks.NAME")):
        if name in cfg.trainer:
            raise NasError(f"trainer.{name}: the run builds it from a separate group. Set options of {group}.")
    clip = cfg.trainer.get("gradient_clip_val")
    if clip is not None:
        raise NasError(
            f"trainer.gradient_clip_val={clip}: a {job} clips gradients in its own steps. Use "
            f"{part}.clip_norm={clip}{scope}."
        )
    accumulated = cfg.trainer.get("accumulate_grad_batches", 1)
    if job == "search" and accumulated not in (None, 1):
        raise NasError(
            f"trainer.accumulate_grad_batches={accumulated}: a bilevel step takes one batch of each half. Use "
            "dataset.global_batch_size with a smaller dataset.batch_size."
        )
