"""Drop path (stochastic depth of single paths)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def drop_path(x: Tensor, probability: float) -> Tensor:
    """Zero whole samples of ``x`` [B, ...] with ``probability``; divide the others by the keep probability."""
    if probability == 0:
        return x
    keep = 1 - probability
    mask = torch.empty(x.shape[0], *[1] * (x.dim() - 1), dtype=x.dtype, device=x.device).bernoulli_(keep)
    return x * mask.div_(keep)


class DropPath(nn.Module):
    """Drop path in training mode, the identity in evaluation mode: [B, ...] -> [B, ...].

    From FractalNet (Larsson et al., 2017), as scheduled by Zoph et al. (2018). A callback may set ``probability``
    between epochs.
    """

    def __init__(self, probability: float = 0.0) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        return drop_path(x, self.probability) if self.training else x

    def mask(self, x: Tensor) -> Tensor:
        """Return the factors [B, 1, ...] of the samples in training mode, from the random numbers of ``forward``.

        They have the dtype of ``x``, but at least float32.
        """
        dtype = torch.promote_types(x.dtype, torch.float32)
        factors = torch.ones(len(x), *[1] * (x.dim() - 1), dtype=dtype, device=x.device)
        return factors if self.probability == 0 else factors.bernoulli_(1 - self.probability) / (1 - self.probability)
