"""Learning-rate schedules of searches: their interval, and their length in a resumed run."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

LENGTHS = ("T_max", "total_iters")
"""Attributes of PyTorch's schedulers with the length of the schedule."""


def changes_per_step(scheduler: Any) -> bool:
    """Return whether a scheduler is stepped after each step instead of each epoch (``LRDecay.interval``)."""
    return str(getattr(scheduler, "interval", "epoch")) != "epoch"


def set_steps(schedulers: list[Any], trainer: pl.Trainer) -> list[Any]:
    """Set the number of steps per epoch of schedulers that change per step, and return all of them."""
    for scheduler in filter(changes_per_step, schedulers):
        _ = trainer.estimated_stepping_batches  # builds the loader, so that num_training_batches is set
        scheduler.set_steps_per_epoch(int(trainer.num_training_batches))
    return schedulers


def step_scheduler(scheduler: Any, per_step: bool) -> None:
    """Step a scheduler, or None, at the end of a step or an epoch if that is its interval."""
    if scheduler is not None and changes_per_step(scheduler) == per_step:
        scheduler.step()


def drop_lengths(checkpoint: dict[str, Any]) -> None:
    """Remove the lengths of schedules from a checkpoint, so that a resumed run uses those of its configuration."""
    for state in checkpoint.get("lr_schedulers", ()):
        for name in LENGTHS:
            state.pop(name, None)
