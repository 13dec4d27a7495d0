"""Networks of DARTS-like cells, CIFAR and ImageNet size: supernets and evaluation networks alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell
from nas.nn.cell_graph import CellGraph, Dropped
from nas.nn.edges.mixed import EdgeFactory, MixedEdge, Row, rows
from nas.nn.ops import FactorizedReduce, GlobalPool, OpOptions, ReluConvNorm
from nas.spaces.base import PROBE_SHAPE, Network, Output, Probe, Shape
from nas.spaces.darts.fixed_reduction import FixedReduction
from nas.utils.errors import NasError

Stem = Literal["cifar", "imagenet", "none"]


class NestedCell(nn.Module):
    """A cell with two inputs, brought to ``channels`` first; its output concatenates nodes.

    [B, before, ...], [B, last, ...] -> [B, nodes * channels, ...]. ``reduction`` halves the resolution on the
    edges that leave the inputs; ``after_reduction`` says that the cell before did.
    """

    def __init__(
        self,
        cell: Cell,
        edge: EdgeFactory,
        options: OpOptions,
        inputs: tuple[int, int],
        channels: int,
        reduction: bool,
        after_reduction: bool,
        drop_path_on: Dropped = "op",
        graph: type[CellGraph] = CellGraph,
    ) -> None:
        super().__init__()
        self.preprocess0, self.preprocess1 = _preprocess(inputs, channels, after_reduction, options)
        strides = (2 if reduction else 1, 1)
        self.graph = graph(cell, channels, lambda source: strides[source >= 2], edge, options, drop_path_on)

    def forward(self, before: Tensor, last: Tensor, table: list[Row] | None) -> Tensor:
        found = self.graph([self.preprocess0(before), self.preprocess1(last)], table)
        return torch.cat([found[node] for node in self.graph.cell.output], dim=1)


def _preprocess(
    inputs: tuple[int, int], channels: int, after_reduction: bool, options: OpOptions
) -> tuple[nn.Module, nn.Module]:
    """What brings both inputs of a cell to ``channels`` and to one resolution."""
    first = (
        FactorizedReduce(inputs[0], channels, options)
        if after_reduction
        else ReluConvNorm(inputs[0], channels, 1, 1, options)
    )
    return first, ReluConvNorm(inputs[1], channels, 1, 1, options)


class AuxiliaryHead(nn.Module):
    """A classifier on the features after the second reduction, used in training only. [B, C, H, W] -> [B, classes].

    ``size`` is the side of the maps, 0 where they are not square. ``norm`` is its second batch norm; the ImageNet
    head of the DARTS family lacks it.
    """

    def __init__(self, channels: int, classes: int, stride: int, size: int, norm: bool) -> None:
        super().__init__()
        published = (stride == 3 and size == 8) or (stride == 2 and size == 7)
        pool = nn.AvgPool2d(5, stride, count_include_pad=False) if published else nn.AdaptiveAvgPool2d(2)
        self.features = nn.Sequential(
            nn.ReLU(),
            pool,
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            *([nn.BatchNorm2d(768)] if norm else []),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


def _conv_norm(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs)]


class NestedCells(Network):
    """Normal cells with a reduction cell at 1/3 and 2/3 of the depth, each fed by the two cells before it.

    ``cells`` holds the whole tables in a supernet, restricted ones in a genotype's network; without a "reduce" cell
    the reductions are fixed (GDAS FRC). The ImageNet stem divides the resolution by eight before the first cell, the
    CIFAR stem keeps it, and without one ("none") the cells see the input itself. A stem is ``stem_multiplier`` times as
    wide as the first cell: 3 for CIFAR and 1 for ImageNet where None. ``depth`` keeps only the first so many
    cells of all ``layers``. ``lastact`` puts a batch norm and a ReLU before the pooling, as AutoDL-Projects does.
    ``drop_path_on`` is what drop path acts on in the cells of ``cells``, ``graph`` what executes one.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
        edge: EdgeFactory,
        options: OpOptions,
        channels: int,
        layers: int,
        shape: Shape,
        classes: int,
        stem: Stem = "cifar",
        stem_multiplier: int | None = None,
        auxiliary: bool | None = False,
        auxiliary_norm: bool = True,
        lastact: bool = False,
        depth: int | None = None,
        drop_path_on: Dropped = "op",
        graph: type[CellGraph] = CellGraph,
    ) -> None:
        super().__init__()
        if layers < 3:
            raise NasError(f"layers={layers}: the DARTS networks need at least 3 cells, to place two reductions")
        multiplier = (3 if stem == "cifar" else 1) if stem_multiplier is None else stem_multiplier
        if min(channels, multiplier) < 1 or (stem == "imagenet" and multiplier * channels < 2):
            raise NasError(f"channels={channels}, stem_multiplier={multiplier}: too few for the {stem} stem")
        width, after_reduction = self._stem(shape[0], multiplier * channels, stem)
        reductions = (layers // 3, 2 * layers // 3)
        inputs = (width, width)
        self.cells = nn.ModuleList()
        self.kinds: list[str] = []
        self.auxiliary_head: AuxiliaryHead | None = None
        for layer in range(layers if depth is None else depth):
            reduction = layer in reductions
            channels = 2 * channels if reduction else channels
            kind = "reduce" if reduction else "normal"
            if kind in cells:
                place = (inputs, channels, reduction, after_reduction)
                self.cells.append(NestedCell(cells[kind], edge, options, *place, drop_path_on, graph))
                nodes = len(cells[kind].output)
            else:
                entries = _preprocess(inputs, channels, after_reduction, options)
                self.cells.append(FixedReduction(*entries, channels, options))
                nodes = FixedReduction.nodes
            inputs, after_reduction = (inputs[1], channels * nodes), reduction
            self.kinds.append(kind)
            if layer == reductions[1]:
                self._auxiliary(inputs[1], classes, shape, stem, auxiliary, auxiliary_norm)
        self.auxiliary_layer = reductions[1]
        self.lastact = nn.Sequential(nn.BatchNorm2d(inputs[1]), nn.ReLU()) if lastact else nn.Identity()
        self.pool = GlobalPool()
        self.classifier = nn.Linear(inputs[1], classes)

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        tables = {} if arch is None else {kind: rows(weights) for kind, weights in arch.items()}
        if hasattr(self, "stem"):
            before = last = self.stem(x)
        else:
            before = self.stem0(x)
            last = self.stem1(before)
        auxiliary = None
        for layer, (kind, cell) in enumerate(zip(self.kinds, self.cells, strict=True)):
            before, last = last, cell(before, last, tables.get(kind))
            if layer == self.auxiliary_layer and self.training and self.auxiliary_head is not None:
                auxiliary = self.auxiliary_head(last)
        features = self.pool(self.lastact(last))
        return Output(self.classifier(features), features, auxiliary)

    def _stem(self, inputs: int, width: int, stem: Stem) -> tuple[int, bool]:
        """The width behind the stem, and whether its two outputs differ in resolution."""
        if stem == "none":
            self.stem: nn.Module = nn.Identity()
            return inputs, False
        if stem == "cifar":
            self.stem = nn.Sequential(*_conv_norm(inputs, width, 1))
            return width, False
        half = width // 2
        self.stem0 = nn.Sequential(*_conv_norm(inputs, half, 2), nn.ReLU(), *_conv_norm(half, width, 2))
        self.stem1 = nn.Sequential(nn.ReLU(), *_conv_norm(width, width, 2))
        return width, True

    def _auxiliary(
        self, channels: int, classes: int, shape: Shape, stem: Stem, wanted: bool | None, norm: bool
    ) -> None:
        sides = {side // (32 if stem == "imagenet" else 4) for side in shape[1:]}
        size = min(sides)
        if wanted and size < 2:
            raise NasError(
                f"auxiliary head: inputs of {shape[1]}x{shape[2]} leave maps of {size}x{size} behind the second "
                "reduction, 2x2 are needed; use network.auxiliary=false"
            )
        build = size >= 2 if wanted is None else wanted
        stride = 2 if stem == "imagenet" else 3
        side = size if len(sides) == 1 else 0
        self.auxiliary_head = AuxiliaryHead(channels, classes, stride, side, norm) if build else None


def thin_cells(cells: Mapping[str, Cell], kind: Probe, shape: Shape, classes: int) -> NestedCells:
    """TE-NAS' network of one channel: a normal cell and a reduction, all batch norm affine; see ``Space.probe``."""
    return NestedCells(
        cells,
        MixedEdge,
        OpOptions(),
        channels=1,
        layers=3,
        shape=shape if kind == "ntk" else PROBE_SHAPE,
        classes=classes,
        stem="cifar" if kind == "ntk" else "none",
        stem_multiplier=1,
        lastact=True,
        depth=2,
    )
