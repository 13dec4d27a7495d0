"""Networks of DARTS cells for CIFAR and ImageNet: supernets and evaluation networks."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell, own_key
from nas.nn.cell_builder import CellBuilder
from nas.nn.edges.mixed import EdgeRow, unbind_rows
from nas.nn.memory_format import with_dense_gradient
from nas.nn.ops import FactorizedReduce, OpOptions, ReluConvNorm
from nas.nn.pooling import GlobalPool
from nas.spaces.base import PROBE_SHAPE, Network, Output, Probe, Shape
from nas.spaces.darts.auxiliary_head import AuxiliaryHead
from nas.spaces.darts.fixed_reduction import FixedReduction
from nas.spaces.darts.skeleton import Skeleton, Stem
from nas.utils.errors import NasError


class DartsCell(nn.Module):
    """A cell on the outputs of the two previous cells; its output concatenates its output nodes.

    [B, inputs[0], H, W], [B, inputs[1], H, W] -> [B, nodes * channels, H/s, W/s]. The cell first projects both inputs
    to ``channels``.

    Args:
        cell: the table of edges and ops.
        builder: edges, ops and execution of the cell.
        inputs: channels of the outputs of the two previous cells.
        channels: width of each node.
        reduction: whether the edges that leave the inputs halve the resolution.
        after_reduction: whether the previous cell is a reduction, so that its predecessor has twice the resolution.
    """

    def __init__(
        self,
        cell: Cell,
        builder: CellBuilder,
        inputs: tuple[int, int],
        channels: int,
        reduction: bool,
        after_reduction: bool,
    ) -> None:
        super().__init__()
        self.preprocess0, self.preprocess1 = _preprocess(inputs, channels, after_reduction, builder.options)
        strides = (2 if reduction else 1, 1)
        self.graph = builder.build(cell, channels, lambda source: strides[source >= 2])

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


def _conv_norm(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs)]


class DartsNetwork(Network):
    """Normal and reduction cells in a skeleton; each cell reads the two previous cells.

    Args:
        cells: full cells for a supernet, restricted cells for the network of a genotype. Without a "reduce" cell the
            reductions are fixed (GDAS FRC).
        builder: edges, ops and execution of the cells.
        skeleton: size and fixed layers.
        shape: (C, H, W) of an image.
        classes: number of classes.
        auxiliary: whether to build the auxiliary head; None builds it if the features are at least 2x2.
        auxiliary_norm: whether the auxiliary head has a second batch norm.
        depth: number of cells to build, counted from the first; None builds all.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
        builder: CellBuilder,
        skeleton: Skeleton,
        shape: Shape,
        classes: int,
        auxiliary: bool | None = False,
        auxiliary_norm: bool = True,
        depth: int | None = None,
    ) -> None:
        super().__init__()
        reductions, channels = skeleton.reductions, skeleton.channels
        width, after_reduction = self._build_stem(shape[0], skeleton.stem_width, skeleton.stem)
        inputs = (width, width)
        self.cells = nn.ModuleList()
        self.kinds: list[str] = []
        self.auxiliary_head: AuxiliaryHead | None = None
        for layer in range(skeleton.layers if depth is None else depth):
            reduction = layer in reductions
            channels = 2 * channels if reduction else channels
            kind = "reduce" if reduction else "normal"
            if kind in cells:
                size = (inputs, channels, reduction, after_reduction)
                self.cells.append(DartsCell(cells[kind], builder, *size))
            else:
                projections = _preprocess(inputs, channels, after_reduction, builder.options)
                self.cells.append(FixedReduction(*projections, channels, builder.options))
            nodes = len(cells[kind].output) if kind in cells else FixedReduction.nodes
            inputs, after_reduction = (inputs[1], channels * nodes), reduction
            self.kinds.append(kind)
            if layer == reductions[1]:
                scale = 2 ** len(set(reductions)) * (8 if skeleton.stem == "imagenet" else 1)
                self._build_auxiliary_head(inputs[1], classes, shape, scale, auxiliary, auxiliary_norm)
        self.auxiliary_layer = reductions[1]
        self.lastact = nn.Sequential(nn.BatchNorm2d(inputs[1]), nn.ReLU()) if skeleton.lastact else nn.Identity()
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
        self, channels: int, classes: int, shape: Shape, scale: int, auxiliary: bool | None, norm: bool
    ) -> None:
        """Build the head after the last reduction, whose features have 1 / ``scale`` of the resolution of an image."""
        sides = [math.ceil(side / scale) for side in shape[1:]]  # reductions round up
        size = min(sides)
        if auxiliary and size < 2:
            raise NasError(
                f"network.auxiliary=true: images of {shape[1]}x{shape[2]} leave features of {sides[0]}x{sides[1]} "
                "after the last reduction, and the auxiliary head needs 2x2. Use network.auxiliary=false."
            )
        build = size >= 2 if auxiliary is None else auxiliary
        stride = 2 if hasattr(self, "stem1") else 3  # of the ImageNet stem
        side = size if sides[0] == sides[1] else 0
        self.auxiliary_head = AuxiliaryHead(channels, classes, stride, side, norm) if build else None


def thin_cells(cells: Mapping[str, Cell], kind: Probe, shape: Shape, classes: int, options: OpOptions) -> DartsNetwork:
    """Build TE-NAS' one-channel network of a normal cell and a reduction.

    Args:
        cells: cells of the supernet, or of a genotype.
        kind: see ``Space.probe``.
        shape: (C, H, W) of an image.
        classes: number of classes.
        options: options of the ops.
    """
    stem: Stem = "cifar" if kind == "ntk" else "none"
    skeleton = Skeleton(channels=1, layers=3, stem=stem, stem_multiplier=1, lastact=True)
    shape = shape if kind == "ntk" else PROBE_SHAPE
    return DartsNetwork(cells, CellBuilder(options=options), skeleton, shape, classes, depth=2)
