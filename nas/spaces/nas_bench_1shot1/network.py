"""Supernet of NAS-Bench-1Shot1: stacks of cells whose vertices mix their parents and ops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell, own_key
from nas.nn.cell_graph import CellGraph
from nas.nn.edges.mixed import EdgeFactory, EdgeRow, MixedEdge, unbind_rows
from nas.nn.ops import OpOptions, ReluConvNorm
from nas.nn.pooling import GlobalPool
from nas.spaces.base import Network, Output, Shape
from nas.spaces.nas_bench_1shot1.notation import OUTPUT_CELL
from nas.spaces.nas_bench_101.network import STACKS
from nas.spaces.nas_bench_101.notation import CONNECT

Tables = Mapping[str, Sequence[EdgeRow]]
PLAIN = OpOptions(own={CONNECT: lambda channels, stride, options: nn.Identity()})
"""Options of the edges to parents."""


class OutputGraph(CellGraph):
    """Output of a cell: the weighted concatenation of the vertices, plus the weighted input.

    The inputs of ``forward`` are the projected input [B, n*C, H, W] and the n vertices [B, C, H, W]. The output node is
    [B, n*C, H, W]. Vertices that are not connected give zeros.
    """

    def forward(self, inputs: Sequence[Tensor], rows: Sequence[EdgeRow] | None = None) -> dict[int, Tensor]:
        given: Sequence[EdgeRow | None] = [None] * len(inputs) if rows is None else rows
        edges = [self.edges[key](x, row) for key, x, row in zip(self.keys, inputs, given, strict=True)]
        vertices = [torch.zeros_like(x) if out is None else out for x, out in zip(inputs[1:], edges[1:], strict=True)]
        output = torch.cat(vertices, dim=-3)
        return {**dict(enumerate(inputs)), len(inputs): output if edges[0] is None else output + edges[0]}


class SearchCell(nn.Module):
    """Cell of the supernet, [B, inputs, H, W] -> [B, n*C, H, W] for n vertices of C channels.

    Each vertex has a 1x1 projection of the cell's input as parent 0, as the output has.

    Args:
        cells: tables of the vertices and of the output, in order.
        edge: builds the edges with ops; edges to parents are plain.
        options: of the ops.
        inputs: channels of the input.
        channels: C.
    """

    def __init__(
        self, cells: Mapping[str, Cell], edge: EdgeFactory, options: OpOptions, inputs: int, channels: int
    ) -> None:
        super().__init__()

        def build(ops: Sequence[str | None], channels: int, stride: int, options: OpOptions) -> MixedEdge:
            return MixedEdge(ops, channels, stride, PLAIN) if CONNECT in ops else edge(ops, channels, stride, options)

        vertices = len(cells) - 1
        self.projections = nn.ModuleDict()
        self.graphs = nn.ModuleDict()
        for name, cell in cells.items():
            last = name == OUTPUT_CELL
            width = vertices * channels if last else channels
            self.projections[name] = _conv_norm_relu(inputs, width, 1, options)
            graph = OutputGraph if last else CellGraph
            self.graphs[name] = graph(cell, channels, lambda source: 1, build, options)

    def forward(self, x: Tensor, tables: Tables) -> Tensor:
        """Return the output of the cell under the rows of each table."""
        vertices: list[Tensor] = []
        for name, graph in self.graphs.items():
            features = graph([self.projections[name](x), *vertices], tables[name])
            vertices.append(features[max(features)])
        return vertices[-1]


class OneShotNetwork(Network):
    """Stem, three stacks of search cells, and a projection before global pooling.

    Max pooling halves the resolution and channels double between stacks, as in the networks of NAS-Bench-101.

    Args:
        cells: tables of the space.
        edge: builds the edges with ops.
        options: of the ops.
        channels: C of the first stack.
        per_stack: cells per stack.
        shape: (C, H, W) of an image.
        classes: number of classes.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
        edge: EdgeFactory,
        options: OpOptions,
        channels: int,
        per_stack: int,
        shape: Shape,
        classes: int,
    ) -> None:
        super().__init__()
        self.kinds = tuple(cells)
        self.per_stack = per_stack
        self.stem = _conv_norm_relu(shape[0], channels, 3, options)
        self.cells = nn.ModuleList()
        width = inner = channels
        for position in range(STACKS * per_stack):
            inner = channels * 2 ** (position // per_stack)
            self.cells.append(SearchCell(cells, edge, options, width, inner))
            width = (len(cells) - 1) * inner
        self.downsample = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.postprocess = ReluConvNorm(width, inner, 1, 1, OpOptions(affine=False, track=options.track))
        self.pool = GlobalPool()
        self.classifier = nn.Linear(inner, classes)

    def cell_types(self) -> dict[int, str]:
        """Return the vertex of each graph; positions count the graphs of all cells."""
        return dict(enumerate(self.kinds * len(self.cells)))

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        assert arch is not None, "a supernet needs an architecture"
        tables = {key: unbind_rows(weights) for key, weights in arch.items()}
        x = self.stem(x)
        for number, cell in enumerate(self.cells):
            x = self.downsample(x) if number and number % self.per_stack == 0 else x
            first = number * len(self.kinds)
            x = cell(x, {k: tables.get(own_key(k, first + i), tables[k]) for i, k in enumerate(self.kinds)})
        features = self.pool(self.postprocess(x))
        return Output(self.classifier(features), features)


def _conv_norm_relu(inputs: int, outputs: int, kernel: int, options: OpOptions) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, options.norm(outputs), nn.ReLU())
