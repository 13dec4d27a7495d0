"""Edge normalization (PC-DARTS): a relaxation that weights edges in addition to ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation
from nas.relaxations.binary_gates import GateRelaxation
from nas.relaxations.distribution import Distribution
from nas.relaxations.softmax import Softmax
from nas.utils.errors import NasError, one_line
from nas.utils.ranges import POSITIVE, check


class EdgeNormalized(Relaxation):
    """Op weights of another relaxation, times normalized edge weights, as in PC-DARTS (Xu et al., ICLR 2020).

    Each cell type has a parameter ``beta`` [edges]. Its softmax over the edges that end in the same node scales these
    edges. The architecture optimizer trains alpha and beta, and genotypes are derived from the product of both scores.
    If every genotype has all edges into a node (``Cell.fixed_inputs``), these edges have weight 1.

    Args:
        cells: the search space.
        relaxation: builds the relaxation of the ops, whose alpha this relaxation shares.
        init_std: standard deviation of the initial beta.
    """

    selects_edges = True

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
        self.differentiable = self.ops.differentiable

    @property
    def tau(self) -> float:
        """Temperature of the relaxation of the ops."""
        return self.ops.tau  # type: ignore[return-value]

    @tau.setter
    def tau(self, value: float) -> None:
        check("relaxation.tau", value, POSITIVE)
        self.ops.tau = value  # type: ignore[assignment]

    def sample(self, masks: Masks) -> Architecture:
        return self._weighted(self.ops.sample(masks))

    def sample_for_weights(self, masks: Masks) -> Architecture:
        """Sample the architecture of a weight step; one that selects its edges (SETN) has no edge weights."""
        own = type(self.ops).sample_for_weights is not Relaxation.sample_for_weights
        return self.ops.sample_for_weights(masks) if own else self.sample(masks)

    def finish_step(self, masks: Masks) -> None:
        self.ops.finish_step(masks)

    def edge_weights(self, name: str) -> Tensor:
        """Return the weights [edges] of a cell type. The weights of the edges into a node sum to 1."""
        cell = self.cells[name]
        parts = self.beta[name].split([len(cell.into(node)) for node in cell.nodes])
        fixed = cell.inputs if cell.fixed_inputs and cell.inputs is not None else 0
        normalize = self.ops.normalize_edges
        return torch.cat([torch.ones_like(part) if len(part) <= fixed else normalize(part) for part in parts])

    def penalty(self) -> Tensor | float:
        return self.ops.penalty()

    def scores(self, masks: Masks) -> dict[str, Tensor]:
        return self.ops.scores(masks)

    def distribution(self, masks: Masks) -> Distribution | None:
        """Return the distribution of the ops. Edge weights do not influence it."""
        return self.ops.distribution(masks)

    def edge_scores(self, masks: Masks) -> dict[str, Tensor | None]:
        return {name: self.edge_weights(name).detach() for name in self.alpha}

    def entropy(self, masks: Masks) -> Tensor:
        """Return the mean entropy in nats of the ops of edges and, with fixed inputs, of the parents of nodes.

        With fixed inputs, edges with a single op and nodes that have all their edges are not counted.
        """
        if not any(cell.fixed_inputs for cell in self.cells.values()):
            return super().entropy(masks)
        scores, entropies = self.scores(masks), []
        for name, cell in self.cells.items():
            rows = [e for e in range(len(cell.edges)) if len(cell.choices(e)) > 1]
            entropies += [torch.special.entr(scores[name][e].float()).sum() for e in rows]
            parts = self.edge_weights(name).detach().split([len(cell.into(node)) for node in cell.nodes])
            entropies += [torch.special.entr(p.float()).sum() for p in parts if len(p) > (cell.inputs or 0)]
        return torch.stack(entropies).mean()

    def _weighted(self, sampled: Architecture) -> Architecture:
        return {name: row._replace(edge=self.edge_weights(name)) for name, row in sampled.items()}


def with_edge_weights(cells: Mapping[str, Cell], build: Callable[[Mapping[str, Cell]], Relaxation]) -> Relaxation:
    """Build a relaxation, with edge weights if edges of ``cells`` compete and it does not weight them itself.

    Raises:
        NasError: if the relaxation has binary gates, which do not support edge weights.
    """
    relaxation = build(cells) if callable(build) and not isinstance(build, nn.Module) else None
    if not isinstance(relaxation, Relaxation):
        raise NasError(
            f"GradientSearch: relaxation={one_line(build)[:80]}: use a class such as Softmax, or partial(Gumbel, "
            "tau=1.0)."
        )
    if relaxation.selects_edges or not any(cell.fixed_inputs for cell in cells.values()):
        return relaxation
    if isinstance(relaxation, GateRelaxation):
        raise NasError(
            "method.relaxation=GateRelaxation: the parents of vertices in this space have edge weights, which "
            "BinaryGates do not train. Use method=darts or gdas."
        )
    return EdgeNormalized(cells, lambda cells: relaxation)
