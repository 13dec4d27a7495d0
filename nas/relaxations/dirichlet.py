"""Weights drawn from a Dirichlet distribution, with pathwise derivatives and a generator of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from nas.architecture.cell import Cell
from nas.relaxations.base import Relaxation


class Dirichlet(Relaxation):
    """DrNAS: weights drawn from Dir(ELU(alpha) + 1) with pathwise derivatives (Chen et al., ICLR 2021).

    ``anchor`` pulls the distribution towards Dir(1, ..., 1) in the architecture step: "kl" adds ``strength``
    times the KL divergence from it, summed over edges; "l2" adds strength/2 * |alpha|^2, whose gradient is that
    of Adam's weight decay, the authors' default. Pruned entries are drawn too, zeroed, and the rest is
    scaled to sum to 1, which has the law of a draw over the entries that are left.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
        anchor: Literal["l2", "kl"] = "l2",
        strength: float = 1e-3,
        init_std: float = 1e-3,
    ) -> None:
        super().__init__(cells, init_std)
        self.anchor = anchor
        self.strength = strength

    def draw(self, concentration: Tensor) -> Tensor:
        """A point of the simplex for each row of ``concentration`` [edges, ops]."""
        return sample_dirichlet(concentration, self.generator(concentration.device))

    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        weights = self.draw(F.elu(alpha) + 1) * mask
        total = weights.sum(dim=-1, keepdim=True)
        return weights / total.clamp_min(torch.finfo(total.dtype).tiny), None

    def penalty(self) -> Tensor:
        if self.anchor == "kl":
            return self.strength * torch.stack([dirichlet_kl(F.elu(a) + 1).sum() for a in self.alpha.values()]).sum()
        return self.strength / 2 * torch.stack([a.square().sum() for a in self.alpha.values()]).sum()


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
