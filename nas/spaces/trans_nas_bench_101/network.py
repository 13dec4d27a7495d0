"""Networks of TransNAS-Bench-101 for classification (Duan et al., CVPR 2021): stem, modules, mean and linear layer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell
from nas.nn.cell_sequence import CellSequence
from nas.nn.edges.mixed import EdgeFactory
from nas.nn.ops import OpOptions, ReluConvNorm
from nas.nn.pooling import GlobalPool
from nas.spaces.base import Network, Output, Shape
from nas.spaces.trans_nas_bench_101.cell import MicroCell
from nas.spaces.trans_nas_bench_101.macro_notation import SMALLER, WIDER
from nas.utils.errors import NasError

MICRO_MODULES = (4, 1, 4, 1, 4)
"""Modules of the micro networks by digit: 4 doubles the channels and halves the resolution, 1 does neither."""
SHORTCUT_EPS = SHORTCUT_MOMENTUM = 1.0
"""Options of the shortcut's batch norm. The authors' code passes ``affine=True`` in their place."""


class BasicBlock(nn.Module):
    """ResNet block with pre-activation: [B, inputs, H, W] -> [B, outputs, ceil(H/s), ceil(W/s)].

    The batch norm of the shortcut has eps 1 and momentum 1, as in the authors' code.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv_a = ReluConvNorm(inputs, outputs, 3, stride, OpOptions())
        self.conv_b = ReluConvNorm(outputs, outputs, 3, 1, OpOptions())
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            norm = nn.BatchNorm2d(outputs, eps=SHORTCUT_EPS, momentum=SHORTCUT_MOMENTUM)
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), norm)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.conv_b(self.conv_a(x))


class TransNasBenchNetwork(Network):
    """Stem that reduces the resolution to a quarter, cells or blocks, global mean and linear classifier.

    Convolutions have the Kaiming initialization of the authors (fan out).

    Args:
        cells: the searched part.
        channels: channels of the stem.
        width: channels after the last cell.
        shape: (C, H, W) of an image.
        classes: number of classes.
    """

    def __init__(self, cells: Sequence[nn.Module], channels: int, width: int, shape: Shape, classes: int) -> None:
        super().__init__()
        if channels < 2 or channels % 2:
            raise NasError(
                f"channels={channels}: the stem has half as many channels first. Set space.channels (in train.py "
                "network.channels) to an even number."
            )
        half = channels // 2
        self.stem = nn.Sequential(
            nn.Conv2d(shape[0], half, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(half),
            ReluConvNorm(half, channels, 3, 2, OpOptions()),
        )
        self.cells = CellSequence(cells)
        self.pool = GlobalPool()
        self.classifier = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def cell_types(self) -> dict[int, str]:
        return self.cells.cell_types()

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        x = self.cells(self.stem(x), arch)
        features = self.pool(x)
        return Output(self.classifier(features), features)


def micro_network(
    cell: Cell,
    edge: EdgeFactory,
    options: OpOptions,
    channels: int,
    per_stage: int,
    shape: Shape,
    classes: int,
) -> TransNasBenchNetwork:
    """Build the network of a cell: the full cell for a supernet, a restricted cell for a genotype.

    Args:
        cell: the cell.
        edge: builds an edge of a cell.
        options: options of the ops on the edges.
        channels: channels of the stem; each module of kind 4 doubles them.
        per_stage: cells per module.
        shape: (C, H, W) of an image.
        classes: number of classes.
    """
    cells, width = [], channels
    for digit in MICRO_MODULES:
        for position in range(per_stage):
            grows = digit == 4 and position == 0
            outputs = 2 * width if grows else width
            cells.append(MicroCell(cell, width, outputs, 2 if grows else 1, edge, options))
            width = outputs
    return TransNasBenchNetwork(cells, channels, width, shape, classes)


def macro_network(
    modules: Sequence[str], channels: int, per_stage: int, shape: Shape, classes: int
) -> TransNasBenchNetwork:
    """Build the network of a skeleton. See ``micro_network``."""
    blocks, width = [], channels
    for module in modules:
        for position in range(per_stage):
            outputs = 2 * width if module in WIDER and position == 0 else width
            stride = 2 if module in SMALLER and position == 0 else 1
            blocks.append(BasicBlock(width, outputs, stride))
            width = outputs
    return TransNasBenchNetwork(blocks, channels, width, shape, classes)
