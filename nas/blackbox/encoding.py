"""Encoding of a genotype as a sequence of categorical decisions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

from nas.architecture.cell import Cell, CellGenotype, Genotype, Link
from nas.spaces.base import Space


class Decision(NamedTuple):
    """Categorical choice: its name (``normal/4`` for a node, ``normal/0->2`` for an edge) and number of options."""

    name: str
    size: int


class CategoricalEncoding:
    """Decisions of a space: the edges of each node that takes only some of them, and the op of each edge.

    The op of an edge that its node does not take is not decided. Uniform decisions have the distribution of
    ``Space.sample``. Like there, genotypes with two ops on one edge (``Cell.repeats``) are not included.

    Attributes:
        decisions: all decisions, in a fixed order.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._edge_decisions: dict[tuple[str, int], tuple[int, list[tuple[int, ...]]]] = {}
        self._op_decisions: dict[tuple[str, int], tuple[int, list[str]]] = {}
        self.decisions: list[Decision] = []
        for name, cell in space.cells.items():
            for node in cell.nodes:
                edges = _edges_into(cell, node)
                if cell.inputs is not None and len(edges) > cell.inputs:
                    subsets = list(combinations(edges, cell.inputs))
                    self._edge_decisions[name, node] = (len(self.decisions), subsets)
                    self.decisions.append(Decision(f"{name}/{node}", len(subsets)))
                for edge in edges:
                    source, target = cell.edges[edge]
                    self._op_decisions[name, edge] = (len(self.decisions), cell.choices(edge))
                    self.decisions.append(Decision(f"{name}/{source}->{target}", len(cell.choices(edge))))

    def decode(self, choose: Callable[[int], int]) -> Genotype:
        """Return the genotype of the given choices.

        Args:
            choose: maps the index of a decision to an option. It is called only for decisions that take part.
        """
        cells = {}
        for name, cell in self._space.cells.items():
            links: list[Link] = []
            for node in cell.nodes:
                kept = _edges_into(cell, node)
                if (name, node) in self._edge_decisions:
                    number, subsets = self._edge_decisions[name, node]
                    kept = list(subsets[choose(number)])
                for edge in kept:
                    number, ops = self._op_decisions[name, edge]
                    links.append(Link(ops[choose(number)], cell.edges[edge][0], node))
            cells[name] = CellGenotype(tuple(links), cell.output)
        return Genotype(self._space.notation, cells)


def _edges_into(cell: Cell, node: int) -> list[int]:
    return [edge for edge in cell.into(node) if cell.choices(edge)]
