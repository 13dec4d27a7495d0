"""Networks of ShuffleNetV2 units with three kernel sizes, and of Single Path One-Shot's Xception-like unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.nn.depthwise import DepthwiseConv2d
from nas.nn.pooling import GlobalPool
from nas.spaces.base import Network, Output


class UnitSpec(NamedTuple):
    """Size of a unit: depthwise kernel (0 for the Xception-like unit), inner width, stride and output width."""

    kernel: int
    middle: int
    stride: int
    outputs: int


class ShuffleUnit(nn.Module):
    """ShuffleNetV2 unit (Ma et al., ECCV 2018): [B, C, H, W] -> [B, outputs, H/s, W/s].

    At stride 1 the odd channels pass the main branch and the even channels bypass it, which is the channel shuffle of
    the paper applied before the unit instead of after it. At stride 2 all channels pass the main branch and a
    projection.
    """

    def __init__(self, inputs: int, unit: UnitSpec, eps: float) -> None:
        super().__init__()
        self.stride = unit.stride
        width = inputs // 2 if unit.stride == 1 else inputs
        make = _ConvNorm(eps)
        kernel, middle, outputs = unit.kernel or 3, unit.middle, unit.outputs - width
        if unit.kernel:
            main = [*make.point(width, middle), *make.depth(middle, kernel, unit.stride), *make.point(middle, outputs)]
        else:
            main = [*make.depth(width, 3, unit.stride), *make.point(width, middle), *make.depth(middle, 3, 1)]
            main += [*make.point(middle, middle), *make.depth(middle, 3, 1), *make.point(middle, outputs)]
        self.branch_main = nn.Sequential(*main)
        if unit.stride == 2:
            self.branch_proj = nn.Sequential(*make.depth(width, kernel, 2), *make.point(width, width))

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 2:
            return torch.cat([self.branch_proj(x), self.branch_main(x)], dim=1)
        return torch.cat([x[:, 0::2], self.branch_main(x[:, 1::2])], dim=1)


class _ConvNorm(NamedTuple):
    """Builder of pointwise and depthwise convolutions, each followed by batch norm of epsilon ``eps``."""

    eps: float

    def point(self, inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs, eps=self.eps), nn.ReLU()]

    def depth(self, channels: int, kernel: int, stride: int) -> list[nn.Module]:
        conv = DepthwiseConv2d(channels, kernel, stride)
        return [conv, nn.BatchNorm2d(channels, eps=self.eps)]


class ShuffleNetV2Network(Network):
    """Stem (stride 2, width 16), units, pointwise convolution to 1024, pooling, dropout, classifier without bias."""

    def __init__(self, units: Sequence[UnitSpec], inputs: int, classes: int, eps: float, dropout: float) -> None:
        super().__init__()
        self.first_conv = nn.Sequential(
            nn.Conv2d(inputs, 16, 3, 2, padding=1, bias=False), nn.BatchNorm2d(16, eps=eps), nn.ReLU()
        )
        widths = [16, *(unit.outputs for unit in units)]
        self.features = nn.ModuleList(ShuffleUnit(width, unit, eps) for width, unit in zip(widths, units, strict=False))
        self.conv_last = nn.Sequential(*_ConvNorm(eps).point(widths[-1], 1024))
        self.pool = GlobalPool()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(1024, classes, bias=False)

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        x = self.first_conv(x)
        for unit in self.features:
            x = unit(x)
        features = self.pool(self.conv_last(x))
        return Output(self.classifier(self.dropout(features)), features)
