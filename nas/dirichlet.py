"""Dirichlet draws with pathwise derivatives and a generator of one's own, and the divergence from uniform."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Pathwise(torch.autograd.Function):
    """Passes a given draw on, differentiable in the concentration it was drawn with.

    torch.distributions.Dirichlet.rsample does the same, but takes no generator and no given draw.
    """

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, draw: Tensor) -> Tensor:
        ctx.save_for_backward(concentration, draw)
        return draw

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        concentration, draw = ctx.saved_tensors
        total = concentration.sum(-1, keepdim=True).expand_as(concentration)
        slope = torch._dirichlet_grad(draw, concentration, total)
        return slope * (grad - (draw * grad).sum(-1, keepdim=True)), None


def pathwise(concentration: Tensor, draw: Tensor) -> Tensor:
    """``draw`` [..., n], a point of the simplex, with the implicit derivative in ``concentration`` [..., n]."""
    return _Pathwise.apply(concentration, draw)


def sample_dirichlet(concentration: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A differentiable draw from Dir(concentration), [..., n]."""
    return pathwise(concentration, torch._sample_dirichlet(concentration.detach(), generator))


def dirichlet_kl(concentration: Tensor) -> Tensor:
    """KL(Dir(concentration) || Dir(1, ..., 1)) over the last dimension, [..., n] -> [...]."""
    total = concentration.sum(-1)
    n = concentration.new_tensor(float(concentration.shape[-1]))
    spread = (concentration - 1) * (concentration.digamma() - total.digamma()[..., None])
    return total.lgamma() - concentration.lgamma().sum(-1) - n.lgamma() + spread.sum(-1)
