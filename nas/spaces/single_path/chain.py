"""Base class of spaces whose architectures are chains: at each position one block out of a fixed set."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Hashable, Sequence
from functools import cached_property

import torch
from torch import nn

from nas.architecture.cell import Cell, CellGenotype, Genotype, Link
from nas.nn.edges.mixed import EdgeFactory
from nas.nn.macs import count_operations
from nas.spaces.base import Shape, Space
from nas.spaces.check_inputs import require_genotype
from nas.spaces.single_path.chain_body import CHAIN, MixedChain
from nas.spaces.single_path.layout import FixedSizes, Layer, Layout, feature_sizes
from nas.spaces.unsupported import refuse_partial_channels
from nas.utils.errors import NasError, unknown

__all__ = ["CHAIN", "ChainSpace", "chain_from_ops", "chain_ops", "split_blocks"]


class ChainSpace(Space):
    """A chain of layers: layer i is the edge from node i to node i + 1, and its candidates are blocks.

    Args:
        shape: (C, H, W) of an image.
        classes: number of classes.
        layout: stages of the chain.
        ops: names of the candidates.
        inputs: channels in front of the first layer.
        stem_stride: stride of the layers before the first searched one.
        name: of the space in messages and run directories.
    """

    has_thin_networks = False
    has_macs_table = True

    def __init__(
        self,
        shape: Shape,
        classes: int,
        layout: Layout,
        ops: Sequence[str],
        inputs: int,
        stem_stride: int,
        name: str,
    ) -> None:
        super().__init__(name, shape, classes)
        self.layout = layout
        self.stem_stride = stem_stride
        self.layers = layout.layers(inputs)
        edges = tuple((position, position + 1) for position in range(layout.length))
        excluded = frozenset((e, op) for e in range(layout.length) for op in ops if not self.offers(op, self.layers[e]))
        self.cells = {CHAIN: Cell(edges, tuple(ops), (layout.length,), excluded=excluded)}
        for e in range(layout.length):
            if not self.cells[CHAIN].choices(e):
                raise NasError(f"space.ops={list(ops)}: layer {e} changes the shape and has no candidate. Add a block.")

    @staticmethod
    def check_op_names(ops: Sequence[str], known: Collection[str]) -> None:
        """Raise NasError for a candidate that is not among the ``known`` ops."""
        for op in ops:
            if op not in known:
                raise unknown("space.ops", op, known)

    @abstractmethod
    def block(self, op: str, layer: Layer) -> nn.Module:
        """Build the block of an op for the supernet."""

    def offers(self, op: str, layer: Layer) -> bool:
        """Return whether an op is a candidate of a layer."""
        return True

    def fixed_sizes(self, stem: int, head: int) -> FixedSizes:
        """Return the sizes of the layers around the chain for a width of the stem and of the head."""
        return FixedSizes(self.shape[0], stem, self.stem_stride, self.layers[-1].outputs, head, self.classes)

    def mixed_chain(self, edge: EdgeFactory) -> MixedChain:
        """Build the searched part of the supernet."""
        self.check_edge(edge)
        return MixedChain(self.cells[CHAIN], self.layers, edge, self.block)

    def check_edge(self, edge: EdgeFactory) -> None:
        refuse_partial_channels(edge, self.name, "blocks")

    def check(self, genotype: Genotype) -> None:
        require_genotype(genotype)
        count = len(genotype.cells[CHAIN].links) if CHAIN in genotype.cells else 0
        if genotype.space == self.notation and count != self.layout.length:
            raise NasError(
                f"genotype: an architecture of space={self.name} has {self.layout.length} blocks, found {count}. Set "
                "the depths of its stages."
            )
        super().check(genotype)

    def cost_key(self, cell: str, link: Link) -> Hashable:
        first, stage = 0, 0
        while first + self.layout.depths[stage] <= link.source:
            first += self.layout.depths[stage]
            stage += 1
        return link.op, stage, link.source == first  # the first layer of a stage changes the shape

    @cached_property
    def op_macs(self) -> list[list[int]]:
        """Multiply-adds of each op in each layer for one image, [layers][ops]; 0 for excluded ops."""
        cell, sizes = self.cells[CHAIN], feature_sizes(self.shape, self.stem_stride, self.layers)
        table = []
        for e, (layer, size) in enumerate(zip(self.layers, sizes, strict=True)):
            costs = []
            for op in cell.ops:
                if (e, op) in cell.excluded:
                    costs.append(0)
                    continue
                with torch.device("meta"):
                    block = self.block(op, layer)
                costs.append(count_operations(block, (layer.inputs, *size), "macs"))
            table.append(costs)
        return table

    @cached_property
    def fixed_macs(self) -> int:
        """Multiply-adds of the layers that are not searched, for one image."""
        cell = self.cells[CHAIN]
        first = chain_from_ops(self.notation, [cell.choices(e)[0] for e in range(self.layout.length)])
        with torch.device("meta"):
            network = self.supernet()
        arch = self.encode(first)
        return count_operations(network, self.shape, "macs", arch) - self._searched_macs(first)

    def macs(self, genotype: Genotype) -> int:
        return self.fixed_macs + self._searched_macs(genotype)

    def _searched_macs(self, genotype: Genotype) -> int:
        cell = self.cells[CHAIN]
        return sum(self.op_macs[e][cell.ops.index(op)] for e, op in enumerate(chain_ops(genotype)))


def chain_from_ops(notation: str, ops: Sequence[str]) -> Genotype:
    """Return the chain whose blocks, from first to last, are ``ops``."""
    links = tuple(Link(op, position, position + 1) for position, op in enumerate(ops))
    return Genotype(notation, {CHAIN: CellGenotype(links, (len(ops),))})


def chain_ops(genotype: Genotype) -> list[str]:
    """Return the blocks of a chain from first to last."""
    return [link.op for link in sorted(genotype.cells[CHAIN].links, key=lambda link: link.source)]


def split_blocks(text: str, notation: str) -> list[str]:
    """Split ``notation:a-b-c`` into its blocks. Raises NasError for another notation."""
    name, _, rest = text.strip().partition(":")
    if name != notation or not rest:
        raise NasError(
            f"genotype={text}: not a genotype of space {notation}. Write '{notation}:' and blocks joined by '-'."
        )
    return rest.split("-")
