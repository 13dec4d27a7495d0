"""Learning rates of searches in phases or stages, and the first epoch of each stage."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nas.utils.ranges import COUNT, COUNT_OR_ZERO, NOT_NEGATIVE, check_ranges


def projection_length(total: int, supernet_epochs: int, projection_epochs: int) -> int:
    """Return the epochs of the projection in a run of ``total`` epochs: its published share, at least 1."""
    return max(1, round(total * projection_epochs / (supernet_epochs + projection_epochs)))


class PhasedLR(LRScheduler):
    """Learning-rate schedule in closed form, whose options a checkpoint does not restore."""

    options: ClassVar[tuple[str, ...]]
    """Attributes that a checkpoint does not restore."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the position in the schedule; the options stay those of this instance."""
        super().load_state_dict({name: value for name, value in state_dict.items() if name not in self.options})


@check_ranges(
    T_max=COUNT,
    supernet_epochs=COUNT,
    projection_epochs=COUNT,
    projection_lr=NOT_NEGATIVE,
    projection_lr_min=NOT_NEGATIVE,
    eta_min=NOT_NEGATIVE,
)
class CosineThenProjection(PhasedLR):
    """Cosine decay for the supernet, then a second cosine decay for the projection (DARTS-PT).

    Args:
        optimizer: its rate starts the first cosine.
        T_max: epochs of the run, divided in the proportion of ``supernet_epochs`` to ``projection_epochs``.
        supernet_epochs: published epochs of the supernet.
        projection_epochs: published epochs of the projection.
        projection_lr: first rate of the projection.
        projection_lr_min: last rate of the projection.
        eta_min: last rate of the supernet.
    """

    options = ("first", "second", "projection_lr", "projection_lr_min", "eta_min")

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,  # noqa: N803, as in torch, so that the class can replace CosineAnnealingLR
        supernet_epochs: int,
        projection_epochs: int,
        projection_lr: float = 0.0025,
        projection_lr_min: float = 0.001,
        eta_min: float = 0.001,
    ) -> None:
        self.second = projection_length(T_max, supernet_epochs, projection_epochs)
        self.first = T_max - self.second
        self.projection_lr, self.projection_lr_min, self.eta_min = projection_lr, projection_lr_min, eta_min
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        if self.last_epoch < self.first:
            return [_cosine(float(lr), self.eta_min, self.last_epoch / self.first) for lr in self.base_lrs]
        progress = min((self.last_epoch - self.first) / self.second, 1.0)
        return [_cosine(self.projection_lr, self.projection_lr_min, progress) for _ in self.base_lrs]


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def stage_at_epoch(epoch: int, epochs: int, stages: int) -> int:
    """Return the stage of an epoch in a run of ``epochs`` with ``stages`` equal stages, all counted from 0."""
    return min(epoch * stages // epochs, stages - 1)


def first_epoch_of_stage(stage: int, epochs: int, stages: int) -> int:
    """Return the first epoch of a stage; ``epochs`` for the stage after the last."""
    return -(-stage * epochs // stages)


@check_ranges(T_max=COUNT, stages=COUNT, eta_min=NOT_NEGATIVE)
class StagedCosine(PhasedLR):
    """Cosine decay from the initial rate to ``eta_min`` in each of ``stages`` parts of ``T_max`` epochs (P-DARTS).

    The rate is computed in closed form from the number of the epoch.
    """

    options = ("T_max", "stages", "eta_min")

    def __init__(self, optimizer: Optimizer, T_max: int, stages: int, eta_min: float = 0.0) -> None:  # noqa: N803
        self.T_max = T_max
        self.stages = stages
        self.eta_min = eta_min
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Return the current learning rate of each parameter group."""
        stage = stage_at_epoch(self.last_epoch, self.T_max, self.stages)
        start, end = (first_epoch_of_stage(s, self.T_max, self.stages) for s in (stage, stage + 1))
        share = (1 + math.cos(math.pi * min((self.last_epoch - start) / max(end - start, 1), 1.0))) / 2
        return [self.eta_min + (float(base) - self.eta_min) * share for base in self.base_lrs]


@check_ranges(T_max=COUNT, restart=COUNT_OR_ZERO, of=COUNT, eta_min=NOT_NEGATIVE)
class RestartedCosine(PhasedLR):
    """Cosine decay that restarts at the initial rate once, when the weights are initialized again (GM-NAS).

    Args:
        optimizer: its rate starts both cosines.
        T_max: epochs of the run.
        restart: published epoch of the restart. The run is divided in proportion to ``of``.
        of: published length of the search.
        to_end: True: the second cosine ends with the run. False: it has the length of the whole run and is cut off.
        eta_min: last rate of a complete cosine.
    """

    options = ("T_max", "eta_min", "first", "second")

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,  # noqa: N803, as in torch, so that the class can replace CosineAnnealingLR
        restart: int,
        of: int,
        to_end: bool = False,
        eta_min: float = 0.001,
    ) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        self.first = restart * T_max // of
        self.second = max(T_max - self.first, 1) if to_end else T_max
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        first = self.last_epoch < self.first
        progress = self.last_epoch / self.T_max if first else (self.last_epoch - self.first) / self.second
        return [_cosine(float(lr), self.eta_min, min(progress, 1.0)) for lr in self.base_lrs]
