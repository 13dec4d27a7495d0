"""Learning rates of searches that have two phases."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


def tune_epochs(total: int, supernet: int, tune: int) -> int:
    """The epochs of the second phase in a run of ``total``: its published share, at least 1."""
    return max(1, round(total * tune / (supernet + tune)))


class Restarted(LRScheduler):
    """A cosine from the optimizer's rate to ``eta_min``, then one from ``restart`` to ``restart_min`` (DARTS-PT).

    ``T_max`` is the length of the run; the phases share it as ``supernet`` to ``tune``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,  # noqa: N803, torch's name, so that it takes the place of CosineAnnealingLR
        supernet: int,
        tune: int,
        restart: float = 0.0025,
        restart_min: float = 0.001,
        eta_min: float = 0.001,
    ) -> None:
        self.second = tune_epochs(T_max, supernet, tune)
        self.first = T_max - self.second
        self.restart, self.restart_min, self.eta_min = restart, restart_min, eta_min
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        if self.last_epoch < self.first:
            return [_cosine(float(lr), self.eta_min, self.last_epoch / self.first) for lr in self.base_lrs]
        progress = min((self.last_epoch - self.first) / self.second, 1.0)
        return [_cosine(self.restart, self.restart_min, progress) for _ in self.base_lrs]


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
