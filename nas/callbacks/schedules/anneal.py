"""Annealing of any numeric attribute of a search over the epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import pytorch_lightning as pl
from torch import nn

from nas.training.search_lr import projection_length
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, COUNT_OR_ZERO, FINITE, check, check_ranges, ranges_of


@check_ranges(start=FINITE, end=FINITE, ahead=COUNT_OR_ZERO, shares=COUNT)
class Anneal(pl.Callback):
    """Move an attribute of the search from ``start`` to ``end``, one value per epoch.

    The value depends only on the epoch, so a resumed search continues with the same values.

    Args:
        path: attribute of the search, such as ``relaxation.tau``. A part ``*`` stands for every module below it:
            ``supernet.*.beta`` sets ``beta`` on all edges that have it.
        start: value in the first epoch.
        end: value at the end.
        shape: "linear", "cosine" (half a period) or "slow_cosine" (a quarter of a period).
        inclusive: True reaches ``end`` in the last epoch (GDAS in AutoDL-Projects), False one epoch later (DrNAS).
        ahead: epochs added to the current one (the scheduler of SNAS makes a step before the first epoch).
        shares: (first, second) proportion that divides the run; the value moves in the first part and keeps ``end``
            in the second (DARTS-PT: a supernet, then its projection).

    Raises:
        NasError: if the search has no such attribute, an end is out of its range, or trainer.max_epochs is not set.
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
        """Return the value in ``epoch`` (from 0) of a run of ``epochs``."""
        if self.shares is not None:
            epochs -= projection_length(epochs, *self.shares)
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
            owners = [child for owner in owners for child in _children(owner, parent)]
        owners = [owner for owner in owners if hasattr(owner, name)]
        if not owners:
            raise NasError(f"Anneal: path={self.path}: no such attribute in the search. Give the path of a number.")
        epochs = trainer.max_epochs
        if epochs is None or epochs < 1:
            raise NasError("Anneal: trainer.max_epochs is not set. Set epochs to a whole number.")
        for owner in owners:
            self._check(owner, name)
            setattr(owner, name, self.value(trainer.current_epoch, epochs))

    def _check(self, owner: object, name: str) -> None:
        """Raise NasError if an end of the schedule is out of the range that the class of ``owner`` declares."""
        allowed = ranges_of(type(owner)).get(name)
        for end in ("start", "end") if allowed is not None else ():
            assert allowed is not None
            check(f"Anneal: path={self.path}, {end}", getattr(self, end), allowed)


def _children(owner: object, part: str) -> list[object]:
    """Return the objects that one part of a path refers to."""
    if part == "*":
        return list(owner.modules()) if isinstance(owner, nn.Module) else []
    return [getattr(owner, part)] if hasattr(owner, part) else []
