"""The micro space of TransNAS-Bench-101 (Duan et al., CVPR 2021): one cell, four nodes, six edges, four ops."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from nas.architecture.cell import Genotype, Link
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.nn.ops import OpOptions
from nas.spaces.base import Network, Shape, Space
from nas.spaces.trans_nas_bench_101.micro_notation import CELL, NOTATION, edge_ops, native, parse
from nas.spaces.trans_nas_bench_101.network import micro_network
from nas.spaces.unsupported import refuse_partial_channels
from nas.utils.ranges import CHANNELS, LAYERS, check_ranges


@check_ranges(channels=CHANNELS, cells_per_stage=LAYERS)
class TransNasBench101Micro(Space):
    """The search space over cells.

    Networks have five modules of equal cells. The first cell of modules 1, 3 and 5 doubles the channels and halves the
    resolution. Networks classify images; the decoders of the other tasks are not included.

    Args:
        shape: (C, H, W) of an image.
        classes: number of classes.
        channels: width of the supernet's stem.
        cells_per_stage: cells in each of the supernet's five modules.
        affine: whether batch norm of the supernet's cells has a scale and a shift.
        track_statistics: whether this batch norm tracks running statistics.
        name: of the space in messages and run directories.
    """

    notation = NOTATION
    has_thin_networks = False

    def __init__(
        self,
        shape: Shape,
        classes: int,
        channels: int = 16,
        cells_per_stage: int = 2,
        affine: bool = False,
        track_statistics: bool = True,
        name: str = NOTATION,
    ) -> None:
        super().__init__(name, shape, classes)
        self.cells = {"cell": CELL}
        self.channels = channels
        self.cells_per_stage = cells_per_stage
        self.options = OpOptions(affine, track_statistics)

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        """Build the supernet. Raises NasError if ``edge`` bypasses channels."""
        self.check_edge(edge)
        size = (self.channels, self.cells_per_stage, self.shape, self.classes)
        return micro_network(self.cells["cell"], edge, self.options, *size)

    def check_edge(self, edge: EdgeFactory) -> None:
        refuse_partial_channels(edge, self.name, "cells")

    @check_ranges(channels=CHANNELS, cells_per_stage=LAYERS)
    def network(self, genotype: Genotype, channels: int = 64, cells_per_stage: int = 2) -> Network:
        """Build the benchmark's network of a genotype for classification."""
        self.check(genotype)
        cell = CELL.restrict(genotype.cells["cell"])
        return micro_network(cell, MixedEdge, OpOptions(), channels, cells_per_stage, self.shape, self.classes)

    def supernet_size(self) -> dict[str, Any]:
        return {"channels": self.channels, "cells_per_stage": self.cells_per_stage}

    def cost_key(self, cell: str, link: Link) -> Hashable:
        return link.op, link.source == 0

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        edge_ops(genotype)

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)
