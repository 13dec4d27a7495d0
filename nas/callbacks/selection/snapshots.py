"""Snapshots of a search, to return to an earlier epoch of the same run."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from nas.searches.gradient import GradientSearch

Snapshot = dict[str, Any]


def snapshot(trainer: pl.Trainer, search: GradientSearch) -> Snapshot:
    """Copy the state of a search at the end of an epoch to host memory, as tensors and plain values."""
    return {
        "search": _to_host(search.state_dict()),
        "optimizers": [_to_host(optimizer.state_dict()) for optimizer in trainer.optimizers],
        "schedulers": [dict(config.scheduler.state_dict()) for config in trainer.lr_scheduler_configs],
    }


def restore(trainer: pl.Trainer, search: GradientSearch, saved: Snapshot, epoch: int) -> None:
    """Restore the state at the end of ``epoch``. Call it at the end of a later epoch, before its schedulers step.

    The trainer continues with ``epoch`` + 1. Batches depend only on the epoch, so they repeat.
    """
    search.load_state_dict(saved["search"])
    for optimizer, state in zip(trainer.optimizers, saved["optimizers"], strict=True):
        optimizer.load_state_dict(_to_host(state))
    for config, state in zip(trainer.lr_scheduler_configs, saved["schedulers"], strict=True):
        config.scheduler.load_state_dict(dict(state))
    progress = trainer.fit_loop.epoch_progress.current
    back = progress.completed - epoch
    for name in ("ready", "started", "processed", "completed"):
        setattr(progress, name, getattr(progress, name) - back)


def _to_host(value: Any) -> Any:
    """Copy nested values, with tensors in host memory."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _to_host(part) for key, part in value.items()}
    return [_to_host(part) for part in value] if isinstance(value, list) else value
