"""Cells, architectures and genotypes: the types that spaces, relaxations and searches share."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from nas.utils.device_tensor import device_tensor
from nas.utils.own_parts import Origin

NONE = "none"


class Link(NamedTuple):
    """A chosen op: node ``target`` reads node ``source`` through ``op``."""

    op: str
    source: int
    target: int


class CellGenotype(NamedTuple):
    """Links of one cell, in the order of its native notation, and the nodes that form its output."""

    links: tuple[Link, ...]
    output: tuple[int, ...]


@dataclass(frozen=True)
class Genotype:
    """A discrete architecture: the chosen links of each cell type. ``space`` is the name of its notation.

    ``origins`` has the places of custom ops and of a custom space, by name, if a file recorded them.
    """

    space: str
    cells: Mapping[str, CellGenotype]
    origins: Mapping[str, Origin] = field(default_factory=dict, compare=False, repr=False)

    def __hash__(self) -> int:
        return hash((self.space, tuple(sorted(self.cells.items()))))


class EdgeWeights(NamedTuple):
    """Weights of the edges of a cell for one forward pass.

    ``op`` [edges, ops] weights the candidate ops. ``active`` [edges, ops] selects the ops to execute. It is a Python
    list, so that skipping an op needs no device synchronization. ``edge`` [edges], if given, scales whole edges
    (PC-DARTS' edge normalization). ``measured`` [edges, ops], if given, selects ops whose weights have a gradient
    although they may not be executed (``BinaryGates``).
    """

    op: Tensor
    active: list[list[bool]]
    edge: Tensor | None = None
    measured: list[list[bool]] | None = None

    def detach(self) -> EdgeWeights:
        """Return the same weights detached from the autograd graph."""
        return EdgeWeights(self.op.detach(), self.active, None if self.edge is None else self.edge.detach())


Architecture = dict[str, EdgeWeights]
"""Edge weights of each cell type. Under ``own_key`` there may be weights of a single cell, which replace its type's."""


def own_key(kind: str, position: int) -> str:
    """Return the key of the weights of a single cell, given its type and its position in the network."""
    return f"{kind}.{position}"


@dataclass(frozen=True)
class Cell:
    """A cell as a table with one row per edge (source, target), sorted by target, and one column per candidate op.

    Attributes:
        edges: the rows.
        ops: the columns.
        output: the nodes that form the cell's output.
        inputs: number of links that a node keeps in a genotype, None for all.
        keeps_none: whether a genotype may contain ``none``. It may in NAS-Bench-201. In DARTS, ``none`` only takes part
            in the relaxation.
        repeats: whether a node may choose two ops of the same edge (the NASNet-like space of AutoDL-Projects).
        excluded: (edge, op) entries that do not exist (S1 to S4).
        fixed_inputs: whether every genotype has ``inputs`` links into each node, or all links if there are fewer edges
            (NAS-Bench-1Shot1). Its edges compete even if each has a single op.
    """

    edges: tuple[tuple[int, int], ...]
    ops: tuple[str, ...]
    output: tuple[int, ...]
    inputs: int | None = None
    keeps_none: bool = False
    repeats: bool = False
    excluded: frozenset[tuple[int, str]] = field(default_factory=frozenset)
    fixed_inputs: bool = False

    def allowed(self) -> Tensor:
        """Return the mask [edges, ops] (bool) of the entries that exist."""
        table = [[(e, op) not in self.excluded for op in self.ops] for e in range(len(self.edges))]
        return torch.tensor(table)

    @property
    def nodes(self) -> tuple[int, ...]:
        """The computed nodes in order."""
        return tuple(dict.fromkeys(target for _, target in self.edges))

    def into(self, node: int) -> list[int]:
        """Return the rows of the edges that end in ``node``."""
        return [e for e, (_, target) in enumerate(self.edges) if target == node]

    def choices(self, edge: int) -> list[str]:
        """Return the ops that a genotype may have on ``edge``."""
        return [op for op in self.ops if (edge, op) not in self.excluded and (op != NONE or self.keeps_none)]

    def masked(self, mask: Sequence[Sequence[bool]]) -> Cell:
        """Return the cell with every entry excluded where ``mask`` [edges, ops] is False."""
        excluded = [(e, op) for e, row in enumerate(mask) for op, on in zip(self.ops, row, strict=True) if not on]
        return replace(self, excluded=frozenset(excluded))

    def restrict(self, chosen: CellGenotype) -> Cell:
        """Return the cell that has only the chosen links, in their order, with one op on each edge."""
        links = sorted(chosen.links, key=lambda link: link.target)
        ops = tuple(dict.fromkeys(link.op for link in links))
        excluded = frozenset((e, op) for e, link in enumerate(links) for op in ops if op != link.op)
        edges = tuple((link.source, link.target) for link in links)
        return Cell(edges, ops, chosen.output, keeps_none=True, excluded=excluded)


def one_hot_weights(cell: Cell, chosen: CellGenotype, like: Tensor | None = None) -> EdgeWeights:
    """Return the one-hot weights under which a supernet computes the genotype; edges without a link are inactive.

    The weights have the dtype and device of ``like``, float32 on the CPU by default.
    """
    active = [[False] * len(cell.ops) for _ in cell.edges]
    for op, source, target in chosen.links:
        active[cell.edges.index((source, target))][cell.ops.index(op)] = True
    dtype, device = (torch.float32, None) if like is None else (like.dtype, like.device)
    return EdgeWeights(device_tensor(active, device, dtype), active)


def sample_cell(cell: Cell, rng: random.Random) -> CellGenotype:
    """Sample a cell genotype uniformly: first the edges of each node, then the op of each edge."""
    links: list[Link] = []
    for node in cell.nodes:
        rows = [e for e in cell.into(node) if cell.choices(e)]
        kept = rows if cell.inputs is None else sorted(rng.sample(rows, min(cell.inputs, len(rows))))
        links += [Link(rng.choice(cell.choices(e)), cell.edges[e][0], node) for e in kept]
    return CellGenotype(tuple(links), cell.output)


def output_reads_input(cell: CellGenotype) -> bool:
    """Return whether a path of ops other than ``none`` leads from an input of the cell to its output."""
    targets = {link.target for link in cell.links}
    links = [link for link in cell.links if link.op != NONE]
    reached = {link.source for link in cell.links} - targets
    for _ in cell.links:
        reached |= {link.target for link in links if link.source in reached}
    return bool(reached & set(cell.output))


def op_counts(genotype: Genotype) -> dict[str, int]:
    """Count each op over all cells, for example to detect a collapse to skip connections."""
    counts: dict[str, int] = {}
    for cell in genotype.cells.values():
        for link in cell.links:
            counts[link.op] = counts.get(link.op, 0) + 1
    return counts


def format_links(links: Sequence[Link]) -> str:
    """Format links for messages: ``op 0->2, op 1->2``."""
    return ", ".join(f"{op} {source}->{target}" for op, source, target in links)
