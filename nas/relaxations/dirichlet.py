"""Dirichlet relaxation (DrNAS) with pathwise derivatives and its own random generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.relaxations.distribution import Distribution
from nas.relaxations.edgewise import EdgewiseRelaxation, RelaxedEdges
from nas.utils.ranges import NOT_NEGATIVE, check_ranges


@check_ranges(reg_scale=NOT_NEGATIVE)
class Dirichlet(EdgewiseRelaxation):
    """Weights sampled from Dir(ELU(alpha) + 1) with pathwise derivatives, as in DrNAS (Chen et al., ICLR 2021).

    Masked entries are sampled too and set to 0, and the other entries are rescaled to sum to 1. This has the
    distribution of a sample over the other entries alone.

    Args:
        cells: the search space.
        regularizer: pull towards Dir(1, ..., 1) in the architecture step. "kl" adds ``reg_scale`` times the KL
            divergence, summed over edges. "l2" adds reg_scale / 2 * |alpha|^2, the authors' default, which has the
            gradient of Adam's weight decay.
        reg_scale: weight of the regularizer.
        init_std: standard deviation of the initial alpha.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
        regularizer: Literal["l2", "kl"] = "l2",
        reg_scale: float = 1e-3,
        init_std: float = 1e-3,
    ) -> None:
        super().__init__(cells, init_std)
        self.regularizer = regularizer
        self.reg_scale = reg_scale

    def sample_simplex(self, concentration: Tensor) -> Tensor:
        """Sample a point of the simplex for each row of ``concentration`` [edges, ops]."""
        return sample_dirichlet(concentration, self.generator(concentration.device))

    def relax(self, alpha: Tensor, mask: Tensor) -> RelaxedEdges:
        weights = self.sample_simplex(F.elu(alpha) + 1) * mask
        total = weights.sum(dim=-1, keepdim=True)
        return RelaxedEdges(weights / total.clamp_min(torch.finfo(total.dtype).tiny))

    def distribution(self, masks: Masks) -> Distribution:
        """Return the Dirichlet distributions of the edges, without excluded ops."""
        tables = {name: (F.elu(alpha.detach()) + 1) * masks.table(name) for name, alpha in self.alpha.items()}
        return Distribution("dirichlet", tables)

    def penalty(self) -> Tensor:
        if self.regularizer == "kl":
            return self.reg_scale * torch.stack([dirichlet_kl(F.elu(a) + 1).sum() for a in self.alpha.values()]).sum()
        return self.reg_scale / 2 * torch.stack([a.square().sum() for a in self.alpha.values()]).sum()


class _Pathwise(torch.autograd.Function):
    """Identity on a given sample, differentiable in the concentration it was sampled with.

    ``torch.distributions.Dirichlet.rsample`` does the same, but accepts neither a generator nor a given sample.
    """

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, sample: Tensor) -> Tensor:
        ctx.save_for_backward(concentration, sample)
        return sample

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        concentration, sample = ctx.saved_tensors
        total = concentration.sum(-1, keepdim=True).expand_as(concentration)
        slope = torch._dirichlet_grad(sample, concentration, total)
        return slope * (grad - (sample * grad).sum(-1, keepdim=True)), None


def reparameterize(concentration: Tensor, sample: Tensor) -> Tensor:
    """Return ``sample`` [..., n] with the implicit derivative with respect to ``concentration`` [..., n]."""
    return _Pathwise.apply(concentration, sample)


def sample_dirichlet(concentration: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return a differentiable sample of Dir(concentration), [..., n]."""
    return reparameterize(concentration, torch._sample_dirichlet(concentration.detach(), generator))


def dirichlet_kl(concentration: Tensor) -> Tensor:
    """Return KL(Dir(concentration) || Dir(1, ..., 1)) over the last dimension, [..., n] -> [...]."""
    total = concentration.sum(-1)
    n = concentration.new_full((), float(concentration.shape[-1]))  # ``new_tensor`` synchronizes a CUDA device
    spread = (concentration - 1) * (concentration.digamma() - total.digamma()[..., None])
    return total.lgamma() - concentration.lgamma().sum(-1) - n.lgamma() + spread.sum(-1)
