"""Networks of DARTS cells for CIFAR and ImageNet: supernets and evaluation networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell, own_key
from nas.nn.cell_graph import CellGraph, DropPathTarget
from nas.nn.edges.mixed import EdgeFactory, EdgeRow, MixedEdge, unbind_rows
from nas.nn.memory_format import with_dense_gradient
from nas.nn.ops import FactorizedReduce, OpOptions, ReluConvNorm
from nas.nn.pooling import GlobalPool
from nas.spaces.base import PROBE_SHAPE, Network, Output, Probe, Shape
from nas.spaces.darts.auxiliary_head import AuxiliaryHead
from nas.spaces.darts.fixed_reduction import FixedReduction
from nas.utils.errors import NasError

Stem = Literal["cifar", "imagenet", "none"]


class DartsCell(nn.Module):
    """A cell on the outputs of the two previous cells; its output concatenates its output nodes.

    [B, inputs[0], H, W], [B, inputs[1], H, W] -> [B, nodes * channels, H/s, W/s]. The cell first projects both inputs
    to ``channels``.

    Args:
        cell: the table of edges and ops.
        edge: builds an edge.
        options: of the ops.
        inputs: channels of the outputs of the two previous cells.
        channels: width of each node.
        reduction: whether the edges that leave the inputs halve the resolution.
        after_reduction: whether the previous cell is a reduction, so that its predecessor has twice the resolution.
        drop_path_on: the target of drop path (``DropPathTarget``).
        graph: the module that executes the cell.
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
        drop_path_on: DropPathTarget = "op",
        graph: Callable[..., CellGraph] = CellGraph,
    ) -> None:
        super().__init__()
        self.preprocess0, self.preprocess1 = _preprocess(inputs, channels, after_reduction, options)
        strides = (2 if reduction else 1, 1)
        self.graph = graph(cell, channels, lambda source: strides[source >= 2], edge, options, drop_path_on)

    def forward(self, before: Tensor, last: Tensor, table: list[EdgeRow] | None) -> Tensor:
        nodes = self.graph([self.preprocess0(before), self.preprocess1(last)], table)
        outputs = [nodes[node] for node in self.graph.cell.output]
        if torch.is_autocast_enabled("cpu"):
            outputs = [with_dense_gradient(x) for x in outputs]
        return torch.cat(outputs, dim=-3)


def _preprocess(
    inputs: tuple[int, int], channels: int, after_reduction: bool, options: OpOptions
) -> tuple[nn.Module, nn.Module]:
    """Build the projections of both inputs of a cell to ``channels`` and to one resolution."""
    first = (
        FactorizedReduce(inputs[0], channels, options)
        if after_reduction
        else ReluConvNorm(inputs[0], channels, 1, 1, options)
    )
    return first, ReluConvNorm(inputs[1], channels, 1, 1, options)


def _stem_width(channels: int, multiplier: int | None, stem: Stem) -> int:
    """Return the output channels of the stem. Raises NasError if there are too few."""
    multiplier = (3 if stem == "cifar" else 1) if multiplier is None else multiplier
    if min(channels, multiplier) < 1 or (stem == "imagenet" and multiplier * channels < 2):
        raise NasError(
            f"channels={channels}, stem_multiplier={multiplier}: too few channels for the {stem} stem. "
            "Increase channels."
        )
    return multiplier * channels


def _conv_norm(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs)]


class DartsNetwork(Network):
    """Normal cells with a reduction cell at 1/3 and 2/3 of the depth; each cell reads the two previous cells.

    Args:
        cells: full cells for a supernet, restricted cells for the network of a genotype. Without a "reduce" cell the
            reductions are fixed (GDAS FRC).
        edge: builds an edge of a cell.
        options: of the ops.
        channels: width of the nodes in the first cell; each reduction doubles it.
        layers: number of cells. One cell is a reduction, and so are both of two.
        shape: (C, H, W) of an image.
        classes: number of classes.
        stem: "cifar" keeps the resolution, "imagenet" divides it by eight, "none" omits the stem.
        stem_multiplier: width of the stem relative to ``channels``; None is 3 for CIFAR and 1 for ImageNet.
        auxiliary: whether to build the auxiliary head; None builds it if the features are at least 2x2.
        auxiliary_norm: whether the auxiliary head has a second batch norm.
        lastact: whether a batch norm and a ReLU precede the pooling, as in AutoDL-Projects.
        depth: number of cells to build, counted from the first; None builds all.
        drop_path_on: the target of drop path in searched cells (``DropPathTarget``).
        graph: the module that executes a cell.
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
        drop_path_on: DropPathTarget = "op",
        graph: Callable[..., CellGraph] = CellGraph,
    ) -> None:
        super().__init__()
        width, after_reduction = self._build_stem(shape[0], _stem_width(channels, stem_multiplier, stem), stem)
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
                size = (inputs, channels, reduction, after_reduction)
                self.cells.append(DartsCell(cells[kind], edge, options, *size, drop_path_on, graph))
            else:
                projections = _preprocess(inputs, channels, after_reduction, options)
                self.cells.append(FixedReduction(*projections, channels, options))
            nodes = len(cells[kind].output) if kind in cells else FixedReduction.nodes
            inputs, after_reduction = (inputs[1], channels * nodes), reduction
            self.kinds.append(kind)
            if layer == reductions[1]:
                scale = 2 ** len(set(reductions)) * (8 if stem == "imagenet" else 1)
                features = [side // scale for side in shape[1:]]
                self._build_auxiliary_head(inputs[1], classes, features, stem, auxiliary, auxiliary_norm)
        self.auxiliary_layer = reductions[1]
        self.lastact = nn.Sequential(nn.BatchNorm2d(inputs[1]), nn.ReLU()) if lastact else nn.Identity()
        self.pool = GlobalPool()
        self.classifier = nn.Linear(inputs[1], classes)

    def cell_types(self) -> dict[int, str]:
        return {i: self.kinds[i] for i, cell in enumerate(self.cells) if isinstance(cell, DartsCell)}

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        tables = {} if arch is None else {key: unbind_rows(weights) for key, weights in arch.items()}
        if hasattr(self, "stem"):
            before = last = self.stem(x)
        else:
            before = self.stem0(x)
            last = self.stem1(before)
        auxiliary = None
        for layer, (kind, cell) in enumerate(zip(self.kinds, self.cells, strict=True)):
            before, last = last, cell(before, last, tables.get(own_key(kind, layer), tables.get(kind)))
            if layer == self.auxiliary_layer and self.training and self.auxiliary_head is not None:
                auxiliary = self.auxiliary_head(last)
        features = self.pool(self.lastact(last))
        return Output(self.classifier(features), features, auxiliary)

    def _build_stem(self, inputs: int, width: int, stem: Stem) -> tuple[int, bool]:
        """Build the stem. Return its output width, and whether its two outputs differ in resolution."""
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

    def _build_auxiliary_head(
        self, channels: int, classes: int, sides: list[int], stem: Stem, auxiliary: bool | None, norm: bool
    ) -> None:
        """Build the head behind the last reduction, whose features have the given height and width."""
        size = min(sides)
        if auxiliary and size < 2:
            raise NasError(
                f"network.auxiliary=true: the images leave features of {size}x{size} after the last reduction, and the "
                "auxiliary head needs 2x2. Use network.auxiliary=false."
            )
        build = size >= 2 if auxiliary is None else auxiliary
        stride = 2 if stem == "imagenet" else 3
        side = size if len(set(sides)) == 1 else 0
        self.auxiliary_head = AuxiliaryHead(channels, classes, stride, side, norm) if build else None


def thin_cells(cells: Mapping[str, Cell], kind: Probe, shape: Shape, classes: int, options: OpOptions) -> DartsNetwork:
    """Build TE-NAS' one-channel network of a normal cell and a reduction (``Space.probe``)."""
    return DartsNetwork(
        cells,
        MixedEdge,
        options,
        channels=1,
        layers=3,
        shape=shape if kind == "ntk" else PROBE_SHAPE,
        classes=classes,
        stem="cifar" if kind == "ntk" else "none",
        stem_multiplier=1,
        lastact=True,
        depth=2,
    )
