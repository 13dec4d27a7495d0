"""Independent gates: weights that do not compete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation


class Sigmoid(Relaxation):
    """FairDARTS' gates: the sigmoid of alpha, for each op by itself (Chu et al., ECCV 2020).

    Alpha starts at 0, every gate at 1/2. The zero-one loss pushes the gates of all cells away from there: its mean
    over all of them is -(gate - 1/2)^2 ("l2") or -|gate - 1/2| ("l1"), times ``strength``.
    """

    allowed: Tensor

    def __init__(
        self,
        cells: Mapping[str, Cell],
        norm: Literal["l2", "l1"] = "l2",
        strength: float = 10.0,
        init_std: float = 0.0,
    ) -> None:
        super().__init__(cells, init_std)
        self.norm = norm
        self.strength = strength
        allowed = torch.cat([cell.allowed().flatten() for cell in self.cells.values()])
        self.register_buffer("allowed", allowed, persistent=False)

    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        return alpha.sigmoid() * mask, None

    def penalty(self) -> Tensor:
        distance = torch.cat([alpha.sigmoid().flatten() for alpha in self.alpha.values()]) - 0.5
        loss = distance.square() if self.norm == "l2" else distance.abs()
        return -self.strength * (loss * self.allowed).sum() / self.allowed.sum()

    def scores(self, masks: Masks) -> dict[str, Tensor]:
        """The gates, 0 where masked."""
        return {name: alpha.detach().sigmoid() * masks.table(name) for name, alpha in self.alpha.items()}

    def entropy(self, masks: Masks) -> Tensor:
        """The mean entropy of the gates, in nats: log 2 at the start, near 0 when decided."""
        gates = torch.cat([scores.float().flatten() for scores in self.scores(masks).values()])
        kept = torch.cat([masks.table(name).flatten() for name in self.alpha])
        return (torch.special.entr(gates) + torch.special.entr(1 - gates)).sum() / kept.sum()
