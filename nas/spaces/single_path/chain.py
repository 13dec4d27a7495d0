"""Base class of spaces whose architectures are chains: at each position one block out of a fixed set."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nas.architecture.cell import Cell, CellGenotype, Genotype, Link
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.spaces.base import Network, Shape, Space
from nas.utils.errors import NasError

CHAIN = "chain"
"""The cell type of a chain."""


class ChainSpace(Space):
    """A chain of ``length`` blocks: block i is the op on the edge from node i to node i + 1.

    Architectures can be parsed, counted and trained. There is no supernet: ``supernet`` raises NasError.
    """

    mixes_ops = False

    length: int
    ops: Sequence[str]

    def __init__(self, shape: Shape, classes: int, name: str | None = None) -> None:
        super().__init__(name or self.notation, shape, classes)
        edges = tuple((position, position + 1) for position in range(self.length))
        self.cells = {CHAIN: Cell(edges, tuple(self.ops), (self.length,))}

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        raise NasError(f"space={self.name}: this space has no supernet. Train its architectures with train.py.")

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        count = len(genotype.cells[CHAIN].links)
        if count != self.length:
            raise NasError(f"genotype: an architecture of space={self.name} has {self.length} blocks, found {count}.")

    def sample(self, rng: random.Random) -> Genotype:
        return chain_from_ops(self.notation, [rng.choice(self.cells[CHAIN].choices(e)) for e in range(self.length)])


def chain_from_ops(notation: str, ops: Sequence[str]) -> Genotype:
    """Return the chain whose blocks, from first to last, are ``ops``."""
    links = tuple(Link(op, position, position + 1) for position, op in enumerate(ops))
    return Genotype(notation, {CHAIN: CellGenotype(links, (len(ops),))})


def chain_ops(genotype: Genotype) -> list[str]:
    """Return the blocks of a chain from first to last."""
    return [link.op for link in sorted(genotype.cells[CHAIN].links, key=lambda link: link.source)]


def split_blocks(text: str, notation: str, length: int) -> list[str]:
    """Split ``notation:a-b-c`` into its blocks. Raises NasError for another notation or number of blocks."""
    name, _, rest = text.strip().partition(":")
    blocks = rest.split("-")
    if name != notation or len(blocks) != length:
        raise NasError(
            f"genotype={text}: not a genotype of space {notation}. Write '{notation}:' and {length} blocks joined by "
            f"'-', found {len(blocks)}."
        )
    return blocks
