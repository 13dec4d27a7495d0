"""A number that changes from epoch to epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import pytorch_lightning as pl
from torch import nn

from nas.training.staged_lr import tune_epochs
from nas.utils.errors import NasError


class Anneal(pl.Callback):
    """Sets the attribute at ``path`` of the search, before each epoch, on a way from ``start`` to ``end``.

    A part ``*`` of the path stands for every module below: ``supernet.*.beta`` is that of all edges that have one.
    Linear, cosine, or "slow_cosine", the first quarter of a cosine instead of its first half. With ``inclusive`` the
    last epoch has ``end`` (GDAS in AutoDL-Projects); without, the epoch after the last would have it (DrNAS'
    repository). ``ahead`` is added to the epoch (SNAS' scheduler has made a step before the first). It depends on
    the epoch alone, so it survives a resume. ``shares`` (first, second) divides the run in this proportion: the value
    moves in the first share alone and stays at ``end`` in the second (a supernet, then its projection).
    """

    def __init__(
        self,
        path: str,
        start: float,
        end: float,
        shape: Literal["linear", "cosine", "slow_cosine"] = "linear",
        inclusive: bool = True,
        ahead: int = 0,
        shares: Sequence[int] | None = None,
    ) -> None:
        self.path = path
        self.start = start
        self.end = end
        self.shape = shape
        self.inclusive = inclusive
        self.ahead = ahead
        self.shares = shares

    def value(self, epoch: int, epochs: int) -> float:
        """The value in ``epoch`` (from 0) of a run of ``epochs``."""
        if self.shares is not None:
            epochs -= tune_epochs(epochs, *self.shares)
        last = epochs - 1 if self.inclusive else epochs
        progress = min((epoch + self.ahead) / last, 1.0) if last > 0 else 0.0
        if self.shape == "cosine":
            progress = (1 - math.cos(math.pi * progress)) / 2
        elif self.shape == "slow_cosine":
            progress = 1 - math.cos(math.pi / 2 * progress)
        return self.start + (self.end - self.start) * progress

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        *parents, name = self.path.split(".")
        owners: list[object] = [pl_module]
        for parent in parents:
            owners = [found for owner in owners for found in _below(owner, parent)]
        owners = [owner for owner in owners if hasattr(owner, name)]
        if not owners:
            raise NasError(f"Anneal: the search has no '{self.path}' to change from {self.start} to {self.end}")
        epochs = trainer.max_epochs
        if epochs is None or epochs < 1:
            raise NasError("Anneal: a schedule needs trainer.max_epochs to know where it ends")
        for owner in owners:
            setattr(owner, name, self.value(trainer.current_epoch, epochs))


def _below(owner: object, part: str) -> list[object]:
    """What one part of a path stands for."""
    if part == "*":
        return list(owner.modules()) if isinstance(owner, nn.Module) else []
    return [getattr(owner, part)] if hasattr(owner, part) else []
