"""Cells, architectures and genotypes: the types that spaces, relaxations and searches share."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

NONE = "none"


class Link(NamedTuple):
    """One chosen op: ``target`` reads ``source`` through ``op``."""

    op: str
    source: int
    target: int


class CellGenotype(NamedTuple):
    """The links of one cell, in the order of its native notation, and the nodes that form its output."""

    links: tuple[Link, ...]
    output: tuple[int, ...]


@dataclass(frozen=True)
class Genotype:
    """A discrete architecture: for each cell type the links that are left. ``space`` names its notation."""

    space: str
    cells: Mapping[str, CellGenotype]

    def __hash__(self) -> int:
        return hash((self.space, tuple(sorted(self.cells.items()))))


class EdgeWeights(NamedTuple):
    """What a cell is told about its edges for one forward pass.

    ``op`` [edges, ops] weighs the candidate ops. ``active`` says which of them are executed at all; it
    is a Python list, so that skipping an op never waits for the device. ``edge`` [edges], if given,
    scales whole edges (PC-DARTS' edge normalization).
    """

    op: Tensor
    active: list[list[bool]]
    edge: Tensor | None = None

    def detach(self) -> EdgeWeights:
        """The same values without their history."""
        return EdgeWeights(self.op.detach(), self.active, None if self.edge is None else self.edge.detach())


Architecture = dict[str, EdgeWeights]


@dataclass(frozen=True)
class Cell:
    """A cell as a table: edges (source, target), sorted by target, times candidate ops.

    ``inputs`` is the number of links a node keeps in a genotype (None: all). ``output`` are the nodes that
    form the cell's output. ``keeps_none`` says whether ``none`` may be chosen: in NAS-Bench-201 it may,
    in DARTS it only takes part in the relaxation. ``excluded`` holds (edge, op) pairs left out (S1 to S4).
    ``repeats`` lets a node choose two ops of the same edge (the NASNet-like rule of AutoDL-Projects).
    """

    edges: tuple[tuple[int, int], ...]
    ops: tuple[str, ...]
    output: tuple[int, ...]
    inputs: int | None = None
    keeps_none: bool = False
    repeats: bool = False
    excluded: frozenset[tuple[int, str]] = field(default_factory=frozenset)

    def allowed(self) -> Tensor:
        """[edges, ops] bool: the entries of the table that exist."""
        table = [[(e, op) not in self.excluded for op in self.ops] for e in range(len(self.edges))]
        return torch.tensor(table)

    @property
    def nodes(self) -> tuple[int, ...]:
        """The nodes that are computed, in order."""
        return tuple(dict.fromkeys(target for _, target in self.edges))

    def into(self, node: int) -> list[int]:
        """The rows of the edges that end in ``node``."""
        return [e for e, (_, target) in enumerate(self.edges) if target == node]

    def choices(self, edge: int) -> list[str]:
        """The ops that a genotype may put on ``edge``."""
        return [op for op in self.ops if (edge, op) not in self.excluded and (op != NONE or self.keeps_none)]

    def masked(self, left: Sequence[Sequence[bool]]) -> Cell:
        """The same table with every entry excluded where ``left`` [edges, ops] is False."""
        gone = [(e, op) for e, row in enumerate(left) for op, on in zip(self.ops, row, strict=True) if not on]
        return replace(self, excluded=frozenset(gone))

    def restrict(self, chosen: CellGenotype) -> Cell:
        """The table with the chosen links alone, in their order: one op on each edge."""
        links = sorted(chosen.links, key=lambda link: link.target)
        ops = tuple(dict.fromkeys(link.op for link in links))
        excluded = frozenset((e, op) for e, link in enumerate(links) for op in ops if op != link.op)
        edges = tuple((link.source, link.target) for link in links)
        return Cell(edges, ops, chosen.output, keeps_none=True, excluded=excluded)


def discretize(cell: Cell, scores: Tensor, edge_scores: Tensor | None = None) -> CellGenotype:
    """The genotype that ``scores`` [edges, ops] stand for; excluded entries are never chosen.

    Each node keeps its ``cell.inputs`` strongest edges (all where None), an edge being as strong as its best
    op, times ``edge_scores`` [edges] where given. The links of a node are listed strongest first where a
    choice is made, else in the order of the edges; of equals the first row and the first column win.
    """
    table = (scores if edge_scores is None else scores * edge_scores[:, None]).detach().cpu().tolist()
    links: list[Link] = []
    for node in cell.nodes:
        pairs: list[tuple[float, int, str]] = []
        for e in cell.into(node):
            ranked = sorted(((table[e][cell.ops.index(op)], e, op) for op in cell.choices(e)), key=lambda p: -p[0])
            pairs += ranked if cell.repeats else ranked[:1]
        if cell.inputs is not None:
            pairs = sorted(pairs, key=lambda pair: -pair[0])[: cell.inputs]
        links += [Link(op, cell.edges[e][0], node) for _, e, op in pairs]
    return CellGenotype(tuple(links), cell.output)


def encode(cell: Cell, chosen: CellGenotype, like: Tensor | None = None) -> EdgeWeights:
    """One-hot weights under which a supernet computes the genotype; edges without a link are switched off."""
    active = [[False] * len(cell.ops) for _ in cell.edges]
    for op, source, target in chosen.links:
        active[cell.edges.index((source, target))][cell.ops.index(op)] = True
    dtype, device = (torch.float32, None) if like is None else (like.dtype, like.device)
    return EdgeWeights(torch.tensor(active, dtype=dtype, device=device), active)


def sample(cell: Cell, rng: random.Random) -> CellGenotype:
    """A cell genotype drawn uniformly: for each node which edges, for each of them which op."""
    links: list[Link] = []
    for node in cell.nodes:
        rows = [e for e in cell.into(node) if cell.choices(e)]
        kept = rows if cell.inputs is None else sorted(rng.sample(rows, min(cell.inputs, len(rows))))
        links += [Link(rng.choice(cell.choices(e)), cell.edges[e][0], node) for e in kept]
    return CellGenotype(tuple(links), cell.output)


def op_counts(genotype: Genotype) -> dict[str, int]:
    """How often each op occurs over all cells: the first look at a collapse to skip connections."""
    counts: dict[str, int] = {}
    for cell in genotype.cells.values():
        for link in cell.links:
            counts[link.op] = counts.get(link.op, 0) + 1
    return counts


def describe(links: Sequence[Link]) -> str:
    """Links as text for messages: ``op 0->2, op 1->2``."""
    return ", ".join(f"{op} {source}->{target}" for op, source, target in links)
