"""The NAS-Bench-201 topology space (Dong and Yang, ICLR 2020): one cell, four nodes, six edges, five ops."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from copy import copy
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell, CellGenotype, Genotype, Link, describe
from nas.nn.cell_graph import CellGraph
from nas.nn.edges.mixed import EdgeFactory, MixedEdge, rows
from nas.nn.fused_graph import FusedGraph
from nas.nn.ops import GlobalPool, OpOptions, ReluConvNorm
from nas.spaces.base import PROBE_SHAPE, Network, Output, Probe, Shape, Space
from nas.utils.errors import NasError

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
TABLE = Cell(EDGES, OPS, output=(3,), keeps_none=True)


class Reduction(nn.Module):
    """The fixed residual block between the stages: [B, C, H, W] -> [B, 2C, H/2, W/2], no activation after the sum."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        options = OpOptions()
        self.conv_a = ReluConvNorm(inputs, outputs, 3, 2, options)
        self.conv_b = ReluConvNorm(outputs, outputs, 3, 1, options)
        pool = nn.AvgPool2d(2, stride=2, ceil_mode=True)
        self.downsample = nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.downsample(x) + self.conv_b(self.conv_a(x))


class StackedCells(Network):
    """Three stages of equal cells with a residual reduction between them.

    ``cell`` is the whole table in a supernet, a restricted one in a genotype's network. ``depth`` keeps only the first
    so many cells, reductions counted; without a ``stem`` the cells see the input itself. ``graph`` executes a cell.
    """

    def __init__(
        self,
        cell: Cell,
        edge: EdgeFactory,
        options: OpOptions,
        channels: int,
        per_stage: int,
        shape: Shape,
        classes: int,
        depth: int | None = None,
        stem: bool = True,
        graph: type[CellGraph] = CellGraph,
    ) -> None:
        super().__init__()
        if min(channels, per_stage) < 1:
            raise NasError(f"channels={channels}, cells_per_stage={per_stage}: both must be at least 1")
        conv = nn.Conv2d(shape[0], channels, 3, padding=1, bias=False)
        self.stem = nn.Sequential(conv, nn.BatchNorm2d(channels)) if stem else nn.Identity()
        plan = [
            (stage, reduction)
            for stage in range(3)
            for reduction in ([True] if stage else []) + per_stage * [False]  # a reduction begins a stage
        ]
        self.cells = nn.ModuleList()
        width = channels
        for stage, reduction in plan[:depth]:
            width = channels * 2**stage
            self.cells.append(
                Reduction(width // 2, width) if reduction else graph(cell, width, lambda source: 1, edge, options)
            )
        self.lastact = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        self.pool = GlobalPool()
        self.classifier = nn.Linear(width, classes)

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        table = None if arch is None else rows(arch["cell"])
        x = self.stem(x)
        for cell in self.cells:
            x = cell([x], table)[3] if isinstance(cell, CellGraph) else cell(x)
        features = self.pool(self.lastact(x))
        return Output(self.classifier(features), features)


class NasBench201(Space):
    """The space of the benchmark. Supernet: ``channels`` wide, ``cells_per_stage`` cells in each of three stages.

    ``conv_bias`` None gives convolutions a bias where batch norm is not affine, as AutoDL-Projects does
    since July 2020; DrNAS and the code of the paper have none. ``fused`` executes the supernet's cells node by node.
    """

    notation = "nas_bench_201"
    counts_bias = True
    members = len(OPS) ** len(EDGES)

    def __init__(
        self,
        shape: Shape,
        classes: int,
        channels: int = 16,
        cells_per_stage: int = 5,
        affine: bool = False,
        track_statistics: bool = True,
        conv_bias: bool | None = None,
        fused: bool = False,
        name: str = "nas_bench_201",
    ) -> None:
        super().__init__(name, shape, classes)
        self.cells = {"cell": TABLE}
        self.channels = channels
        self.cells_per_stage = cells_per_stage
        self.graph = FusedGraph if fused else CellGraph
        self.options = OpOptions(affine, track_statistics, not affine if conv_bias is None else conv_bias)

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        size = (self.channels, self.cells_per_stage, self.shape, self.classes)
        return StackedCells(self.cells["cell"], edge, self.options, *size, graph=self.graph)

    def deepened(self, cells: Mapping[str, Cell], more: int) -> NasBench201:
        if more % 3:
            raise NasError(f"{more} cells cannot be shared among the three stages of space '{self.name}'")
        other = copy(self)
        other.cells = dict(cells)
        other.cells_per_stage = self.cells_per_stage + more // 3
        return other

    def network(self, genotype: Genotype, channels: int = 16, cells_per_stage: int = 5) -> Network:
        """The benchmark's own network of a genotype: affine batch norm, no convolution biases."""
        self.check(genotype)
        cell = TABLE.restrict(genotype.cells["cell"])
        return StackedCells(cell, MixedEdge, OpOptions(), channels, cells_per_stage, self.shape, self.classes)

    def member(self, index: int) -> Genotype:
        """The architecture with an index of the benchmark."""
        return from_index(index)

    def supernet_size(self) -> dict[str, Any]:
        return {"channels": self.channels, "cells_per_stage": self.cells_per_stage}

    def probe(self, kind: Probe, genotype: Genotype | None = None) -> Network:
        cell = self.cells["cell"] if genotype is None else TABLE.restrict(genotype.cells["cell"])
        if kind == "ntk":
            return StackedCells(cell, MixedEdge, OpOptions(), 3, 1, self.shape, self.classes)
        return StackedCells(cell, MixedEdge, OpOptions(), 1, 1, PROBE_SHAPE, self.classes, depth=1, stem=False)

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        links = genotype.cells["cell"].links
        if sorted((link.source, link.target) for link in links) != sorted(EDGES):
            raise NasError(
                f"a cell of space '{self.name}' has one op on each of its {len(EDGES)} edges, 'none' included, "
                f"found {describe(links)}"
            )

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)


def native(genotype: Genotype) -> str:
    """The architecture string ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
    ops = dict(zip(EDGES, edge_ops(genotype), strict=True))
    nodes = [[f"{ops[s, node]}~{s}" for s in range(node)] for node in (1, 2, 3)]
    return "+".join("|" + "|".join(fields) + "|" for fields in nodes)


def parse(text: str) -> Genotype:
    """The genotype of an architecture string. Raises NasError where an op is unknown or an edge missing."""
    nodes = text.strip().split("+")
    if len(nodes) != 3 or not all(n.startswith("|") and n.endswith("|") for n in nodes):
        raise NasError(
            f"'{text}' is not a NAS-Bench-201 architecture: expected three nodes as |op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
        )
    return from_ops([op for target, node in enumerate(nodes, 1) for op in _node_ops(text, node, target)])


def _node_ops(text: str, node: str, target: int) -> list[str]:
    found: dict[int, str] = {}
    for field in node.strip("|").split("|"):
        op, _, source = field.partition("~")
        if op not in OPS:
            raise NasError(f"unknown op '{op}' in '{text}': NAS-Bench-201 has {', '.join(OPS)}")
        if source not in map(str, range(target)) or int(source) in found:
            raise NasError(f"bad edge '{field}' in '{text}': node {target} reads each of the nodes before it once")
        found[int(source)] = op
    missing = [s for s in range(target) if s not in found]
    if missing:
        raise NasError(f"edge {missing[0]}->{target} is missing in '{text}': write all six edges, 'none' included")
    return [found[s] for s in range(target)]


def from_ops(ops: Sequence[str]) -> Genotype:
    """The genotype with these ops on the six edges, in the order of ``EDGES``."""
    links = tuple(Link(op, source, target) for op, (source, target) in zip(ops, EDGES, strict=True))
    return Genotype(NasBench201.notation, {"cell": CellGenotype(links, TABLE.output)})


def edge_ops(genotype: Genotype) -> tuple[str, ...]:
    """The ops on the six edges, in the order of ``EDGES``."""
    ops = {(link.source, link.target): link.op for link in genotype.cells["cell"].links}
    return tuple(ops[edge] for edge in EDGES)


@lru_cache(maxsize=1)
def benchmark_order() -> tuple[tuple[str, ...], ...]:
    """The ops of all 15,625 architectures in the index order of the benchmark.

    It is the Cartesian product shuffled by Python's generator with seed 88. A benchmark file that lists its
    own architectures takes precedence.
    """
    order = list(itertools.product(OPS, repeat=len(EDGES)))
    random.Random(88).shuffle(order)
    return tuple(order)


@lru_cache(maxsize=1)
def _indices() -> dict[tuple[str, ...], int]:
    return {ops: index for index, ops in enumerate(benchmark_order())}


def from_index(index: int) -> Genotype:
    """The architecture with this index in the benchmark (0 to 15,624). Raises NasError outside."""
    if not 0 <= index < len(benchmark_order()):
        raise NasError(f"NAS-Bench-201 has no architecture {index}: indices run from 0 to {len(benchmark_order()) - 1}")
    return from_ops(benchmark_order()[index])


def to_index(genotype: Genotype) -> int:
    """The benchmark's index of an architecture."""
    return _indices()[edge_ops(genotype)]


def cost(
    genotype: Genotype, shape: Shape, classes: int, channels: int = 16, cells_per_stage: int = 5
) -> tuple[int, int]:
    """Parameters and multiply-adds of an architecture's network, without building it.

    Multiply-adds by the rule of AutoDL-Projects, as the benchmark states them: convolutions and the linear
    layer with its bias. An edge counts whether or not its output reaches the end of the cell.
    """
    skeleton, edges = _costs(tuple(shape), classes, channels, cells_per_stage)
    return _sum([skeleton, *(edges[link.op] for link in genotype.cells["cell"].links if link.op in edges)])


@lru_cache
def _costs(
    shape: Shape, classes: int, channels: int, cells_per_stage: int
) -> tuple[tuple[int, int], dict[str, tuple[int, int]]]:
    """(parameters, multiply-adds) of what all architectures share, and of one edge with each op in all cells."""
    inputs, height, width = shape
    skeleton = [_conv_cost(3, inputs, channels, height * width)]
    edges: dict[int, list[tuple[int, int]]] = {1: [], 3: []}
    for stage, planes in enumerate((channels, 2 * channels, 4 * channels)):
        if stage:
            height, width = (height + 1) // 2, (width + 1) // 2
            skeleton += [_conv_cost(3, n, planes, height * width) for n in (planes // 2, planes)]
            p, m = _conv_cost(1, planes // 2, planes, height * width)
            skeleton += [(p - 2 * planes, m)]  # the shortcut's convolution has no batch norm
        for kernel, found in edges.items():
            found += [_conv_cost(kernel, planes, planes, height * width)] * cells_per_stage
    linear = (4 * channels + 1) * classes
    skeleton += [(2 * 4 * channels, 0), (linear, linear)]
    return _sum(skeleton), {f"nor_conv_{kernel}x{kernel}": _sum(found) for kernel, found in edges.items()}


def _conv_cost(kernel: int, inputs: int, outputs: int, pixels: int) -> tuple[int, int]:
    """A convolution without bias, with ``pixels`` in its output, and the batch norm behind it."""
    weights = kernel**2 * inputs * outputs
    return weights + 2 * outputs, weights * pixels


def _sum(costs: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(p for p, _ in costs), sum(m for _, m in costs)
