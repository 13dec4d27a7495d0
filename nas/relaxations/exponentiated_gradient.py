"""Exponentiated gradients on the simplex (GAEA)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.relaxations.base import masked_softmax, pass_gradient
from nas.relaxations.edgewise import EdgewiseRelaxation, RelaxedEdges
from nas.utils.ranges import DROP_PROBABILITY, check_ranges


@check_ranges(floor=DROP_PROBABILITY)
class ExponentiatedGradient(EdgewiseRelaxation):
    """Mixing weights that are updated by exponentiated gradients, as in GAEA (Li et al., ICLR 2021).

    Alpha is the logarithm of the mixing weights theta of an edge, up to a constant, and has the gradient of theta. A
    step of SGD, ``alpha - lr * d(loss)/d(theta)``, therefore multiplies theta by ``exp(-lr * d(loss)/d(theta))``. Then
    theta is raised to at least ``floor`` and normalized. Weight decay of SGD is the authors' entropic regularizer.

    In ``EdgeNormalized`` the weights of edges are updated in the same way, but without a floor.

    Args:
        cells: the search space.
        floor: smallest mixing weight before the normalization; 0 for none.
        init_std: standard deviation of the initial alpha; 0 for equal mixing weights.
    """

    def __init__(self, cells: Mapping[str, Cell], floor: float = 1e-5, init_std: float = 0.0) -> None:
        super().__init__(cells, init_std)
        self.floor = floor

    def relax(self, alpha: Tensor, mask: Tensor) -> RelaxedEdges:
        return RelaxedEdges(pass_gradient(masked_softmax(alpha, mask), alpha * mask))

    def normalize_edges(self, beta: Tensor) -> Tensor:
        return pass_gradient(beta.softmax(dim=0), beta)

    def finish_step(self, masks: Masks) -> None:
        """Raise theta to the floor and normalize it: alpha becomes its logarithm."""
        lowest = math.log(self.floor) if self.floor else -math.inf
        for name, alpha in self.alpha.items():
            mask, least = masks.table(name), torch.finfo(alpha.dtype).min
            log_theta = alpha.detach().clamp_min(lowest).masked_fill(~mask, least).log_softmax(dim=-1)
            with torch.no_grad():
                alpha.copy_(torch.where(mask, log_theta, alpha))
