"""Networks of NAS-Bench-201: supernets and the networks of single architectures."""

from __future__ import annotations

from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell
from nas.nn.cell_builder import CellBuilder
from nas.nn.cell_sequence import CellSequence
from nas.nn.ops import OpOptions, ReluConvNorm
from nas.nn.pooling import GlobalPool
from nas.spaces.base import Network, Output, Shape
from nas.utils.errors import NasError


class Reduction(nn.Module):
    """Fixed residual block between two stages: [B, C, H, W] -> [B, 2C, H/2, W/2], no activation after the sum.

    The configuration refers to the class by name (``keep`` of ``Synflow``).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        options = OpOptions()
        self.conv_a = ReluConvNorm(inputs, outputs, 3, 2, options)
        self.conv_b = ReluConvNorm(outputs, outputs, 3, 1, options)
        pool = nn.AvgPool2d(2, stride=2, ceil_mode=True)
        self.downsample = nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.downsample(x) + self.conv_b(self.conv_a(x))


class NasBench201Network(Network):
    """Three stages of equal cells with a residual reduction before the second and the third.

    Args:
        cell: the full cell for a supernet, a restricted cell for the network of a genotype.
        builder: edges, ops and execution of the cells.
        channels: width of the first stage; each further stage doubles it.
        per_stage: cells per stage.
        shape: (C, H, W) of an image.
        classes: number of classes.
        depth: number of cells to build, reductions included; None builds all.
        stem: whether a convolution precedes the first cell.
    """

    def __init__(
        self,
        cell: Cell,
        builder: CellBuilder,
        channels: int,
        per_stage: int,
        shape: Shape,
        classes: int,
        depth: int | None = None,
        stem: bool = True,
    ) -> None:
        super().__init__()
        if min(channels, per_stage) < 1:
            raise NasError(f"channels={channels}, cells_per_stage={per_stage}: both must be at least 1.")
        conv = nn.Conv2d(shape[0], channels, 3, padding=1, bias=False)
        self.stem = nn.Sequential(conv, nn.BatchNorm2d(channels)) if stem else nn.Identity()
        plan = [
            (stage, reduction)
            for stage in range(3)
            for reduction in ([True] if stage else []) + per_stage * [False]  # a reduction begins a stage
        ]
        self.cells = CellSequence()
        width = channels
        for stage, reduction in plan[:depth]:
            width = channels * 2**stage
            self.cells.append(
                Reduction(width // 2, width) if reduction else builder.build(cell, width, lambda source: 1)
            )
        self.lastact = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        self.pool = GlobalPool()
        self.classifier = nn.Linear(width, classes)

    def cell_types(self) -> dict[int, str]:
        return self.cells.cell_types()

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        x = self.cells(self.stem(x), arch)
        features = self.pool(self.lastact(x))
        return Output(self.classifier(features), features)
