"""Paths dropped at random while a network trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def drop_path(x: Tensor, probability: float) -> Tensor:
    """``x`` [B, ...] with whole samples set to zero, and the others scaled by the inverse keep probability."""
    if probability == 0:
        return x
    keep = 1 - probability
    mask = torch.empty(x.shape[0], *[1] * (x.dim() - 1), dtype=x.dtype, device=x.device).bernoulli_(keep)
    return x * mask / keep


class DropPath(nn.Module):
    """Zeroes the output of an op for whole samples, and scales the others by the inverse keep probability.

    From FractalNet (Larsson et al., 2017), as scheduled by Zoph et al. (2018). ``probability`` may be set
    between epochs. [B, ...] -> [B, ...]; the identity in evaluation mode.
    """

    def __init__(self, probability: float = 0.0) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        return drop_path(x, self.probability) if self.training else x
