"""Independent sigmoid gates (FairDARTS): op weights that do not compete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.relaxations.edgewise import EdgewiseRelaxation, RelaxedEdges
from nas.utils.ranges import NOT_NEGATIVE, check_ranges


@check_ranges(zero_one_weight=NOT_NEGATIVE)
class Sigmoid(EdgewiseRelaxation):
    """The sigmoid of alpha as an independent gate of each op, as in FairDARTS (Chu et al., ECCV 2020).

    Alpha starts at 0, so every gate starts at 1/2. The zero-one loss pushes the gates of all cells away from 1/2.

    Args:
        cells: the search space.
        zero_one_loss: "l2" is the mean of -(gate - 1/2)^2 over all gates, "l1" the mean of -|gate - 1/2|.
        zero_one_weight: weight of the zero-one loss.
        init_std: standard deviation of the initial alpha.
    """

    allowed: Tensor

    def __init__(
        self,
        cells: Mapping[str, Cell],
        zero_one_loss: Literal["l2", "l1"] = "l2",
        zero_one_weight: float = 10.0,
        init_std: float = 0.0,
    ) -> None:
        super().__init__(cells, init_std)
        self.zero_one_loss = zero_one_loss
        self.zero_one_weight = zero_one_weight
        allowed = torch.cat([cell.allowed().flatten() for cell in self.cells.values()])
        self.register_buffer("allowed", allowed, persistent=False)

    def relax(self, alpha: Tensor, mask: Tensor) -> RelaxedEdges:
        return RelaxedEdges(alpha.sigmoid() * mask)

    def penalty(self) -> Tensor:
        distance = torch.cat([alpha.sigmoid().flatten() for alpha in self.alpha.values()]) - 0.5
        loss = distance.square() if self.zero_one_loss == "l2" else distance.abs()
        return -self.zero_one_weight * (loss * self.allowed).sum() / self.allowed.sum()

    def scores(self, masks: Masks) -> dict[str, Tensor]:
        """Return the gates, 0 where masked."""
        return {name: alpha.detach().sigmoid() * masks.table(name) for name, alpha in self.alpha.items()}

    def distribution(self, masks: Masks) -> None:
        """Return None: the gates of an edge are independent and no distribution over its ops."""
        return None

    def entropy(self, masks: Masks) -> Tensor:
        """Return the mean entropy of the gates, in nats: log 2 at the start, near 0 when decided."""
        gates = torch.cat([scores.float().flatten() for scores in self.scores(masks).values()])
        kept = torch.cat([masks.table(name).flatten() for name in self.alpha])
        return (torch.special.entr(gates) + torch.special.entr(1 - gates)).sum() / kept.sum()
