"""Spaces whose architectures are chains: one block a position, each of them chosen from the same few."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nas.architecture.cell import Cell, CellGenotype, Genotype, Link
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.spaces.base import Network, Shape, Space
from nas.utils.errors import NasError

CHAIN = "chain"


class Chain(Space):
    """A chain of ``length`` blocks: block i is the op on the edge from node i to node i + 1.

    Its architectures can be written, counted and trained. There is no supernet: it raises NasError.
    """

    length: int
    ops: Sequence[str]

    def __init__(self, shape: Shape, classes: int, name: str | None = None) -> None:
        super().__init__(name or self.notation, shape, classes)
        edges = tuple((position, position + 1) for position in range(self.length))
        self.cells = {CHAIN: Cell(edges, tuple(self.ops), (self.length,))}

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        raise NasError(f"space '{self.name}' has no supernet: its architectures are trained (train.py), not searched")

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        found = len(genotype.cells[CHAIN].links)
        if found != self.length:
            raise NasError(f"an architecture of space '{self.name}' has {self.length} blocks, found {found}")

    def sample(self, rng: random.Random) -> Genotype:
        return of_ops(self.notation, [rng.choice(self.cells[CHAIN].choices(e)) for e in range(self.length)])


def of_ops(notation: str, ops: Sequence[str]) -> Genotype:
    """The chain of these blocks."""
    links = tuple(Link(op, position, position + 1) for position, op in enumerate(ops))
    return Genotype(notation, {CHAIN: CellGenotype(links, (len(ops),))})


def ops_of(genotype: Genotype) -> list[str]:
    """The blocks of a chain, from first to last."""
    return [link.op for link in sorted(genotype.cells[CHAIN].links, key=lambda link: link.source)]


def tokens(text: str, notation: str, length: int) -> list[str]:
    """The blocks of ``notation:a-b-c``. Raises NasError where it is not of this notation or length."""
    name, _, rest = text.strip().partition(":")
    found = rest.split("-")
    if name != notation or len(found) != length:
        raise NasError(f"'{text}' is not {notation}: and {length} blocks with - between them, found {len(found)}")
    return found
