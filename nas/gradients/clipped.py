"""Norm clipping of the architecture gradient (P-DARTS, PC-DARTS, DrNAS)."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.gradients.base import ArchGradient, BilevelStep
from nas.gradients.first_order import FirstOrder
from nas.utils.ranges import POSITIVE, check_ranges


@check_ranges(norm=POSITIVE)
class Clipped:
    """Another gradient, scaled down to ``norm`` if its norm over all architecture parameters is larger.

    P-DARTS and the ImageNet searches of PC-DARTS and DrNAS clip it separately from the gradient of the weights.

    Args:
        norm: maximum norm.
        gradient: the gradient to clip; default: first order.
    """

    def __init__(self, norm: float, gradient: ArchGradient | None = None) -> None:
        self.norm = norm
        self.gradient = FirstOrder() if gradient is None else gradient
        self.full_precision: bool = getattr(self.gradient, "full_precision", False)

    def __call__(self, step: BilevelStep) -> list[Tensor]:
        grads = self.gradient(step)
        total = torch.stack([grad.square().sum() for grad in grads]).sum().sqrt()
        factor = (self.norm / (total + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
        return [grad * factor for grad in grads]
