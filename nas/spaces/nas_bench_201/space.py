"""The NAS-Bench-201 topology space (Dong and Yang, ICLR 2020): one cell, four nodes, six edges, five ops."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from copy import copy
from functools import partial
from typing import Any

from nas.architecture.cell import Cell, Genotype, Link, format_links
from nas.nn.cell_builder import CellBuilder
from nas.nn.cell_graph import CellGraph
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.nn.fused_cell_graph import FusedCellGraph
from nas.nn.ops import OpOptions
from nas.spaces.base import PROBE_SHAPE, Network, Probe, Shape, Space
from nas.spaces.nas_bench_201.cost import nas_bench_201_cost
from nas.spaces.nas_bench_201.network import NasBench201Network
from nas.spaces.nas_bench_201.notation import CELL, EDGES, NOTATION, OPS, from_index, native, parse
from nas.utils.errors import NasError
from nas.utils.ranges import CHANNELS, LAYERS, check_ranges


@check_ranges(channels=CHANNELS, cells_per_stage=LAYERS)
class NasBench201(Space):
    """The search space of the benchmark.

    Args:
        shape: (C, H, W) of an image.
        classes: number of classes.
        channels: width of the supernet's first stage.
        cells_per_stage: cells in each of the supernet's three stages.
        affine: whether the supernet's batch norm has a scale and a shift.
        track_statistics: whether the supernet's batch norm tracks running statistics.
        conv_bias: whether convolutions have a bias. None adds a bias where batch norm is not affine, as
            AutoDL-Projects does since July 2020. DrNAS and the code of the paper use no bias.
        fused: run the cells of the supernet node by node (``FusedCellGraph``). None: the callback ``FoldWeights``
            selects the execution.
        name: of the space in messages and run directories.
    """

    notation = NOTATION
    counts_bias = True
    size = len(OPS) ** len(EDGES)

    def __init__(
        self,
        shape: Shape,
        classes: int,
        channels: int = 16,
        cells_per_stage: int = 5,
        affine: bool = False,
        track_statistics: bool = True,
        conv_bias: bool | None = None,
        fused: bool | None = None,
        name: str = "nas_bench_201",
    ) -> None:
        super().__init__(name, shape, classes)
        self.cells = {"cell": CELL}
        self.channels = channels
        self.cells_per_stage = cells_per_stage
        self.graph = CellGraph if fused is False else partial(FusedCellGraph, fused=fused)
        self.options = OpOptions(affine, track_statistics, not affine if conv_bias is None else conv_bias)

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        size = (self.channels, self.cells_per_stage, self.shape, self.classes)
        return NasBench201Network(self.cells["cell"], CellBuilder(edge, self.options, graph=self.graph), *size)

    def deepen(self, cells: Mapping[str, Cell], extra: int) -> NasBench201:
        if extra % 3:
            raise NasError(
                f"space={self.name}: {extra} cells cannot be shared among three stages. Use a multiple of 3."
            )
        other = copy(self)
        other.cells = dict(cells)
        other.cells_per_stage = self.cells_per_stage + extra // 3
        return other

    @check_ranges(channels=CHANNELS, cells_per_stage=LAYERS)
    def network(self, genotype: Genotype, channels: int = 16, cells_per_stage: int = 5) -> Network:
        """Build the benchmark's own network of a genotype: affine batch norm, no convolution biases."""
        self.check(genotype)
        cell = CELL.restrict(genotype.cells["cell"])
        return NasBench201Network(cell, CellBuilder(), channels, cells_per_stage, self.shape, self.classes)

    def count(self, genotype: Genotype, channels: int = 16, cells_per_stage: int = 5) -> tuple[int, int]:
        self.check(genotype)
        return nas_bench_201_cost(genotype, self.shape, self.classes, channels, cells_per_stage)

    def cost_key(self, cell: str, link: Link) -> Hashable:
        return link.op

    def from_index(self, index: int) -> Genotype:
        """Return the architecture with a benchmark index."""
        return from_index(index)

    def supernet_size(self) -> dict[str, Any]:
        return {"channels": self.channels, "cells_per_stage": self.cells_per_stage}

    def probe(self, kind: Probe, genotype: Genotype | None = None) -> Network:
        cell = self.cells["cell"] if genotype is None else CELL.restrict(genotype.cells["cell"])
        if kind == "ntk":
            return NasBench201Network(cell, CellBuilder(), 3, 1, self.shape, self.classes)
        return NasBench201Network(cell, CellBuilder(), 1, 1, PROBE_SHAPE, self.classes, depth=1, stem=False)

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        links = genotype.cells["cell"].links
        if sorted((link.source, link.target) for link in links) != sorted(EDGES):
            raise NasError(
                f"genotype: a cell of space={self.name} has one op on each of its {len(EDGES)} edges, none included. "
                f"Found {format_links(links)}."
            )

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)
