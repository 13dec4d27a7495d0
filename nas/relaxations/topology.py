"""Grouped ops, then pairs of input edges: the two decoupled relaxations of DOTS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell, CellGenotype, EdgeWeights
from nas.architecture.masks import Masks
from nas.relaxations.base import Discretization, Relaxation, masked_softmax
from nas.utils.errors import NasError
from nas.utils.ranges import NOT_NEGATIVE, POSITIVE, check_ranges


@check_ranges(tau=POSITIVE, op_scale=POSITIVE, init_std=NOT_NEGATIVE)
class Topology(Relaxation):
    """Operation search in groups, and topology search over pairs of edges, as in DOTS (Gu et al., CVPR 2021).

    In the operation search, ops compete only within two groups: ops without and ops with parameters. The weights
    of an edge sum to the number of groups that it has ops of. In the topology search (``topology`` is True), each node
    has one logit ``beta`` per pair of its edges. The weight of an edge is the sum of softmax(beta / tau) over the pairs
    that contain it. The remaining ops of an edge have the weights softmax(alpha / (op_scale * tau)).

    Args:
        cells: the search space.
        parameter_free: the ops of the first group; all others form the second group.
        tau: temperature of the topology search.
        op_scale: temperature of the ops relative to ``tau`` in the topology search.
        init_std: standard deviation of the initial alpha; beta starts at 0.

    Raises:
        NasError: if the nodes of a cell keep all their edges, so that there are no pairs to select.
    """

    selects_edges = True

    def __init__(
        self,
        cells: Mapping[str, Cell],
        parameter_free: Sequence[str] = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "noise"),
        tau: float = 1.0,
        op_scale: float = 1e-3,
        init_std: float = 0.0,
    ) -> None:
        super().__init__(cells, init_std)
        self.tau = tau
        self.op_scale = op_scale
        self.topology = False
        self.beta = nn.ParameterDict()
        self.pairs: dict[str, list[list[tuple[int, ...]]]] = {}
        """The pairs of edges of each node, in lexicographic order, by cell type."""
        for name, cell in self.cells.items():
            if cell.inputs is None:
                raise NasError(
                    f"method.relaxation=Topology: the nodes of cell '{name}' keep all their edges. Use space=darts."
                )
            self.pairs[name] = [list(combinations(cell.into(node), cell.inputs)) for node in cell.nodes]
            members = [[e in pair for e in range(len(cell.edges))] for node in self.pairs[name] for pair in node]
            self.beta[name] = nn.Parameter(torch.zeros(len(members)))
            self.register_buffer(f"members_{name}", torch.tensor(members, dtype=torch.float32), persistent=False)
            free = torch.tensor([op in parameter_free for op in cell.ops])
            self.register_buffer(f"free_{name}", free, persistent=False)

    def groups(self, name: str, mask: Tensor) -> list[Tensor]:
        """Return the masks [edges, ops] of the ops without and with parameters."""
        free = self.get_buffer(f"free_{name}")
        return [mask & free, mask & ~free]

    def sample(self, masks: Masks) -> Architecture:
        arch = {}
        for name, alpha in self.alpha.items():
            if self.topology:
                op = masked_softmax(alpha / (self.op_scale * self.tau), masks.table(name))
                arch[name] = EdgeWeights(op, masks.lists(name), self.edge_weights(name))
            else:
                arch[name] = EdgeWeights(self._grouped(name, alpha, masks), masks.lists(name))
        return arch

    def edge_weights(self, name: str) -> Tensor:
        """Return the weights [edges] of a cell type. The weights of the edges into a node sum to the edges it keeps."""
        parts = (self.beta[name] / self.tau).split([len(node) for node in self.pairs[name]])
        members = self.get_buffer(f"members_{name}")
        pairs = torch.cat([part.softmax(dim=0) for part in parts])
        return pairs @ members.to(pairs)

    def scores(self, masks: Masks) -> dict[str, Tensor]:
        """Return the importance of each op: the softmax within its group, in the topology search over the edge."""
        if self.topology:
            return super().scores(masks)
        return {name: self._grouped(name, alpha.detach(), masks) for name, alpha in self.alpha.items()}

    def edge_scores(self, masks: Masks) -> dict[str, Tensor | None]:
        return {name: self.edge_weights(name).detach() if self.topology else None for name in self.alpha}

    def mode(self, masks: Masks, discretizations: Mapping[str, Discretization]) -> dict[str, CellGenotype]:
        """Derive the architecture. In the topology search each node keeps the pair of edges with the largest beta."""
        if not self.topology:
            return super().mode(masks, discretizations)
        scores, genotypes = self.scores(masks), {}
        for name, cell in self.cells.items():
            parts = self.beta[name].detach().split([len(node) for node in self.pairs[name]])
            best = torch.stack([part.argmax() for part in parts]).tolist()
            kept = {e for node, i in zip(self.pairs[name], best, strict=True) for e in node[i]}
            rows = [[on and e in kept for on in row] for e, row in enumerate(masks.lists(name))]
            genotypes[name] = discretizations[name](cell.masked(rows), scores[name], None)
        return genotypes

    def distribution(self, masks: Masks) -> None:
        """Return None: the ops of an edge do not compete in the operation search."""
        return None

    def _grouped(self, name: str, alpha: Tensor, masks: Masks) -> Tensor:
        first, second = self.groups(name, masks.table(name))
        return masked_softmax(alpha, first) + masked_softmax(alpha, second)
