"""A bound on the architecture gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.gradients.base import ArchGradient, BilevelStep
from nas.gradients.first_order import FirstOrder


class Clipped:
    """Another gradient, scaled down where its norm over all architecture parameters exceeds ``norm``.

    P-DARTS and the ImageNet searches of PC-DARTS and DrNAS bound it apart from that of the weights.
    """

    def __init__(self, norm: float, gradient: ArchGradient | None = None) -> None:
        self.norm = norm
        self.gradient = FirstOrder() if gradient is None else gradient
        self.full_precision: bool = getattr(self.gradient, "full_precision", False)

    def __call__(self, step: BilevelStep) -> list[Tensor]:
        found = self.gradient(step)
        total = torch.stack([grad.square().sum() for grad in found]).sum().sqrt()
        factor = (self.norm / (total + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
        return [grad * factor for grad in found]
