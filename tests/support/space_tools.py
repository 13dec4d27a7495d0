"""Genotypes of a space for tests."""

from __future__ import annotations

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.spaces.base import Space


def same_op_everywhere(space: Space, op: str) -> Genotype:
    """Return the genotype with ``op`` on every link; each node reads its first inputs."""
    cells = {}
    for name, cell in space.cells.items():
        rows = [e for node in cell.nodes for e in cell.into(node)[: cell.inputs]]
        cells[name] = CellGenotype(tuple(Link(op, *cell.edges[e]) for e in rows), cell.output)
    return Genotype(space.notation, cells)
