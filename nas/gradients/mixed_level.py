"""Mixed-level architecture gradient: training and validation loss together (MiLeNAS)."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from nas.gradients.base import ArchGradient, BilevelStep
from nas.gradients.first_order import FirstOrder
from nas.utils.ranges import NOT_NEGATIVE, check_ranges


@check_ranges(train_weight=NOT_NEGATIVE, val_weight=NOT_NEGATIVE)
class MixedLevel:
    """The sum of the gradients of training and validation loss, as in MiLeNAS (He et al., CVPR 2020).

    The training batch is that of the weight step. Each loss has its own sample of the relaxation, and contains all
    penalties of the architecture step.

    Args:
        train_weight: weight of the gradient of the training loss.
        val_weight: weight of the gradient of the validation loss, the lambda of the paper.
        gradient: differentiates each loss; default: first order. With ``Unrolled`` it is the second-order method.
    """

    def __init__(
        self, train_weight: float = 1.0, val_weight: float = 1.0, gradient: ArchGradient | None = None
    ) -> None:
        self.train_weight = train_weight
        self.val_weight = val_weight
        self.gradient = FirstOrder() if gradient is None else gradient
        self.full_precision: bool = getattr(self.gradient, "full_precision", False)

    def __call__(self, step: BilevelStep) -> list[Tensor]:
        train, val = self.gradient(replace(step, val=step.train)), self.gradient(step)
        return [self.train_weight * t + self.val_weight * v for t, v in zip(train, val, strict=True)]
