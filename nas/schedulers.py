"""Stages of equal length, and learning rates that follow them."""

from __future__ import annotations

import math

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


def stage_of(epoch: int, epochs: int, stages: int) -> int:
    """Which of ``stages`` parts of a run of ``epochs`` an epoch belongs to, all from 0."""
    return min(epoch * stages // epochs, stages - 1)


def first_epoch(stage: int, epochs: int, stages: int) -> int:
    """The epoch that a stage begins with, ``epochs`` for the one after the last."""
    return -(-stage * epochs // stages)


class StagedCosine(LRScheduler):
    """A cosine from the initial rate to ``eta_min`` in each of ``stages`` equal parts of ``T_max`` epochs.

    In closed form: the rate of an epoch depends on nothing but its number.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, stages: int, eta_min: float = 0.0) -> None:  # noqa: N803
        self.T_max = T_max
        self.stages = stages
        self.eta_min = eta_min
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """The rates of the present epoch."""
        stage = stage_of(self.last_epoch, self.T_max, self.stages)
        begin, end = (first_epoch(s, self.T_max, self.stages) for s in (stage, stage + 1))
        share = (1 + math.cos(math.pi * min((self.last_epoch - begin) / max(end - begin, 1), 1.0))) / 2
        return [self.eta_min + (float(base) - self.eta_min) * share for base in self.base_lrs]
