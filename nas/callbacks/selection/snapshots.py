"""Going back to an earlier epoch of the same run."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from nas.searches.gradient import GradientSearch

Snapshot = dict[str, Any]


def snapshot(trainer: pl.Trainer, search: GradientSearch) -> Snapshot:
    """What a search learned by the end of an epoch, in host memory: tensors and primitives alone."""
    return {
        "search": _kept(search.state_dict()),
        "optimizers": [_kept(optimizer.state_dict()) for optimizer in trainer.optimizers],
        "schedulers": [dict(config.scheduler.state_dict()) for config in trainer.lr_scheduler_configs],
    }


def restore(trainer: pl.Trainer, search: GradientSearch, saved: Snapshot, epoch: int) -> None:
    """The search as it was at the end of ``epoch``; to be called at the end of a later one, before its schedulers step.

    What follows is ``epoch`` + 1. Batches are functions of the epoch, so they come again.
    """
    search.load_state_dict(saved["search"])
    for optimizer, state in zip(trainer.optimizers, saved["optimizers"], strict=True):
        optimizer.load_state_dict(_kept(state))
    for config, state in zip(trainer.lr_scheduler_configs, saved["schedulers"], strict=True):
        config.scheduler.load_state_dict(dict(state))
    progress = trainer.fit_loop.epoch_progress.current
    back = progress.completed - epoch
    for name in ("ready", "started", "processed", "completed"):
        setattr(progress, name, getattr(progress, name) - back)


def _kept(value: Any) -> Any:
    """A copy at any depth, with tensors in host memory."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _kept(part) for key, part in value.items()}
    return [_kept(part) for part in value] if isinstance(value, list) else value
