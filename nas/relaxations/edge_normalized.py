"""Relaxations that weigh edges too."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation
from nas.relaxations.softmax import Softmax


class EdgeNormalized(Relaxation):
    """Another relaxation, and a parameter for each edge: PC-DARTS' edge normalization (Xu et al., ICLR 2020).

    ``beta`` [edges] a cell type; its softmax over the edges that end in one node scales those edges. ``relaxation``
    decides on the ops; its alphas are this one's. Both are steps of the architecture optimizer, and a genotype is
    derived from the product of both scores.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
        relaxation: Callable[[Mapping[str, Cell]], Relaxation] = Softmax,
        init_std: float = 1e-3,
    ) -> None:
        super().__init__(cells)
        self.ops = relaxation(cells)
        self.alpha = self.ops.alpha
        self.beta = nn.ParameterDict({name: init_std * torch.randn(len(c.edges)) for name, c in self.cells.items()})

    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.ops.relax(name, alpha, mask)

    def forward(self, masks: Masks) -> Architecture:
        return {name: row._replace(edge=self.edges(name)) for name, row in self.ops(masks).items()}

    def edges(self, name: str) -> Tensor:
        """The weights [edges] of a cell type: those of the edges into one node sum to 1."""
        cell = self.cells[name]
        parts = self.beta[name].split([len(cell.into(node)) for node in cell.nodes])
        return torch.cat([part.softmax(dim=0) for part in parts])

    def penalty(self) -> Tensor | float:
        return self.ops.penalty()

    def scores(self, masks: Masks) -> dict[str, Tensor]:
        return self.ops.scores(masks)

    def edge_scores(self, masks: Masks) -> dict[str, Tensor | None]:
        return {name: self.edges(name).detach() for name in self.alpha}
