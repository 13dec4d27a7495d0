"""Learning rates of trainings from scratch, in closed form."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nas.errors import NasError

Law = Literal["cosine", "linear", "exponential"]


class Decay(LRScheduler):
    """The rate of epoch e of ``T_max``, from the optimizer's rate on, after ``warmup`` epochs below it.

    The rate of an epoch depends on nothing but its number, so that a warm-up leaves no trace in later epochs: chained
    schedules, whose rates the published ImageNet scripts overwrite, stay above their curve for the rest of the run.

    Args:
        optimizer: its rates are those that the laws begin with.
        T_max: epochs of the run.
        law: ``cosine``: a half wave down to ``eta_min``. ``linear``: down to 0 in two slopes, the last ``tail`` epochs
            being slower (P-DARTS, PC-DARTS, DrNAS on ImageNet); one slope where the run is not longer than that.
            ``exponential``: times ``gamma`` an epoch (DARTS on ImageNet).
        warmup: in epoch e before this one the rate is (e + 1) / warmup of the optimizer's.
        eta_min: the end of the cosine.
        tail: epochs of the second slope.
        gamma: factor an epoch.

    Raises:
        NasError: if a number of epochs is below 1, or ``warmup`` or ``tail`` below 0.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,  # noqa: N803, torch's name, so that it takes the place of CosineAnnealingLR
        law: Law = "cosine",
        warmup: int = 0,
        eta_min: float = 0.0,
        tail: int = 5,
        gamma: float = 0.97,
    ) -> None:
        if T_max < 1 or warmup < 0 or tail < 0:
            raise NasError(
                f"scheduler: T_max={T_max}, warmup={warmup}, tail={tail}: give epochs, T_max at least 1, the others 0"
            )
        if law not in ("cosine", "linear", "exponential"):
            raise NasError(f"scheduler: unknown law '{law}': choose from cosine, exponential, linear")
        self.T_max, self.law, self.warmup = T_max, law, warmup
        self.eta_min, self.tail, self.gamma = eta_min, tail, gamma
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """The rates of the present epoch."""
        return [self.rate(float(base), self.last_epoch) for base in self.base_lrs]

    def rate(self, base: float, epoch: int) -> float:
        """The rate of ``epoch``, counted from 0, where ``base`` is the optimizer's."""
        if epoch < self.warmup:
            return base * (epoch + 1) / self.warmup
        if self.law == "exponential":
            return base * self.gamma**epoch
        left = max(self.T_max - epoch, 0)
        if self.law == "cosine":
            return self.eta_min + (base - self.eta_min) * (1 - math.cos(math.pi * left / self.T_max)) / 2
        first = self.T_max - self.tail
        if first <= 0 or not self.tail:
            return base * left / self.T_max
        return base * (left - self.tail) / first if left > self.tail else base * left / (first * self.tail)
