"""A genotype as a row of categorical decisions: what a distribution over genotypes, or a model of them, works on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

from nas.architecture.cell import Cell, CellGenotype, Genotype, Link
from nas.spaces.base import Space


class Decision(NamedTuple):
    """One categorical choice: its ``name`` (``normal/4`` or ``normal/0->2``) and among how many."""

    name: str
    size: int


class Decisions:
    """The decisions of a space: for each node that takes some of its edges which ones, for each edge which op.

    The op of an edge that its node does not take is not decided. Uniform decisions give the distribution of
    ``Space.sample``; two ops on one edge (``Cell.repeats``) are not among the genotypes, there as here.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._edges: dict[tuple[str, int], tuple[int, list[tuple[int, ...]]]] = {}
        self._ops: dict[tuple[str, int], tuple[int, list[str]]] = {}
        self.all: list[Decision] = []
        for name, cell in space.cells.items():
            for node in cell.nodes:
                rows = _rows(cell, node)
                if cell.inputs is not None and len(rows) > cell.inputs:
                    taken = list(combinations(rows, cell.inputs))
                    self._edges[name, node] = (len(self.all), taken)
                    self.all.append(Decision(f"{name}/{node}", len(taken)))
                for row in rows:
                    source, target = cell.edges[row]
                    self._ops[name, row] = (len(self.all), cell.choices(row))
                    self.all.append(Decision(f"{name}/{source}->{target}", len(cell.choices(row))))

    def genotype(self, pick: Callable[[int], int]) -> Genotype:
        """The genotype that ``pick`` decides on: called with the number of a decision, it returns a choice.

        It is called only for those decisions that take part.
        """
        cells = {}
        for name, cell in self._space.cells.items():
            links: list[Link] = []
            for node in cell.nodes:
                kept = _rows(cell, node)
                if (name, node) in self._edges:
                    number, taken = self._edges[name, node]
                    kept = list(taken[pick(number)])
                for row in kept:
                    number, ops = self._ops[name, row]
                    links.append(Link(ops[pick(number)], cell.edges[row][0], node))
            cells[name] = CellGenotype(tuple(links), cell.output)
        return Genotype(self._space.notation, cells)


def _rows(cell: Cell, node: int) -> list[int]:
    return [row for row in cell.into(node) if cell.choices(row)]
