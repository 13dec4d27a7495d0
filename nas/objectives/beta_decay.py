"""Beta decay: a regularizer that keeps the mixing weights of an edge similar (beta-DARTS)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.architecture.masks import Masks
from nas.utils.ranges import NOT_NEGATIVE, check_ranges


@check_ranges(factor=NOT_NEGATIVE)
class BetaDecay:
    """``factor`` times the mean over all edges of logsumexp(alpha), as in beta-DARTS (Ye et al., CVPR 2022).

    Its gradient in alpha is the mixing weight of the op divided by the number of edges, so that each op is pushed down
    in proportion to its weight. Masked ops and edges without ops do not count. The edges of all cell types have equal
    influence; the authors' code defines the term for a single cell type.

    Args:
        factor: weight of the regularizer, annealed by ``nas.callbacks.schedules.anneal.Anneal``.
    """

    def __init__(self, factor: float = 0.0) -> None:
        self.factor = factor

    def __call__(self, alpha: nn.ParameterDict, masks: Masks) -> Tensor:
        """Return the penalty, a scalar, for the architecture parameters [edges, ops] of each cell type."""
        values, kept = [], []
        for name, table in alpha.items():
            mask = masks.table(name)
            # the most negative finite number instead of minus infinity: a fully masked edge would have the gradient NaN
            values.append(table.masked_fill(~mask, torch.finfo(table.dtype).min).logsumexp(dim=-1))
            kept.append(mask.any(dim=-1))
        edges = torch.cat(kept)
        return self.factor * torch.where(edges, torch.cat(values), 0.0).sum() / edges.sum()
