"""Edge normalization (PC-DARTS): a relaxation that weights edges in addition to ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation
from nas.relaxations.distribution import Distribution
from nas.relaxations.softmax import Softmax


class EdgeNormalized(Relaxation):
    """Op weights of another relaxation, times normalized edge weights, as in PC-DARTS (Xu et al., ICLR 2020).

    Each cell type has a parameter ``beta`` [edges]. Its softmax over the edges that end in the same node scales these
    edges. The architecture optimizer trains alpha and beta, and genotypes are derived from the product of both scores.

    Args:
        cells: the search space.
        relaxation: builds the relaxation of the ops, whose alpha this relaxation shares.
        init_std: standard deviation of the initial beta.
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

    def sample(self, masks: Masks) -> Architecture:
        return {name: row._replace(edge=self.edge_weights(name)) for name, row in self.ops.sample(masks).items()}

    def edge_weights(self, name: str) -> Tensor:
        """Return the weights [edges] of a cell type. The weights of the edges into a node sum to 1."""
        cell = self.cells[name]
        parts = self.beta[name].split([len(cell.into(node)) for node in cell.nodes])
        return torch.cat([part.softmax(dim=0) for part in parts])

    def penalty(self) -> Tensor | float:
        return self.ops.penalty()

    def scores(self, masks: Masks) -> dict[str, Tensor]:
        return self.ops.scores(masks)

    def distribution(self, masks: Masks) -> Distribution | None:
        """Return the distribution of the ops. Edge weights do not influence it."""
        return self.ops.distribution(masks)

    def edge_scores(self, masks: Masks) -> dict[str, Tensor | None]:
        return {name: self.edge_weights(name).detach() for name in self.alpha}
