"""Continuous mixture of all ops of an edge (DARTS)."""

from __future__ import annotations

from torch import Tensor

from nas.relaxations.base import masked_softmax
from nas.relaxations.edgewise import EdgewiseRelaxation, RelaxedEdges


class Softmax(EdgewiseRelaxation):
    """The softmax of alpha over the ops of an edge, as in DARTS (Liu et al., ICLR 2019)."""

    def relax(self, alpha: Tensor, mask: Tensor) -> RelaxedEdges:
        return RelaxedEdges(masked_softmax(alpha, mask))
