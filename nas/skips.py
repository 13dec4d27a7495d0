"""A genotype with few skip connections."""

from __future__ import annotations

from torch import Tensor

from nas.cells import Cell, CellGenotype, discretise


def restricted(
    cell: Cell, scores: Tensor, edge_scores: Tensor | None = None, most: int = 2, op: str = "skip_connect"
) -> CellGenotype:
    """The genotype that ``scores`` [edges, ops] stand for, with ``op`` at most ``most`` times (P-DARTS, ICCV 2019).

    While there are too many, the weakest chosen one loses its score, and ops and edges are derived anew. Where an edge
    has no other op left it may still be taken, as the weakest of its node.
    """
    left = scores.detach().clone()
    while True:
        found = discretise(cell, left, edge_scores)
        rows = [cell.edges.index((link.source, link.target)) for link in found.links if link.op == op]
        column = cell.ops.index(op) if rows else 0
        chosen = sorted((float(left[row, column]), row) for row in rows if float(left[row, column]) > 0)
        if len(rows) <= most or not chosen:
            return found
        left[chosen[0][1], column] = 0.0
