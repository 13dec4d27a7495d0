"""Networks of ShuffleNetV2 units: three sizes of kernel, and the Xception-like unit of Single Path One-Shot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.nn.ops import GlobalPool
from nas.spaces.base import Network, Output


class Unit(NamedTuple):
    """A unit: ``kernel`` of its depthwise convolutions, 0 for the Xception-like one; ``middle`` is its inner width."""

    kernel: int
    middle: int
    stride: int
    outputs: int


class ShuffleUnit(nn.Module):
    """Half of the channels through the main branch, the other half as they are, or through a projection at stride 2.

    [B, C, H, W] -> [B, outputs, H/s, W/s]. At stride 1 even channels bypass the branch, which sees the odd ones: the
    shuffle of ShuffleNetV2 (Ma et al., ECCV 2018), done before instead of after.
    """

    def __init__(self, inputs: int, unit: Unit, eps: float) -> None:
        super().__init__()
        self.stride = unit.stride
        seen = inputs // 2 if unit.stride == 1 else inputs
        make = _Parts(eps)
        kernel, middle, outputs = unit.kernel or 3, unit.middle, unit.outputs - seen
        if unit.kernel:
            main = [*make.point(seen, middle), *make.depth(middle, kernel, unit.stride), *make.point(middle, outputs)]
        else:
            main = [*make.depth(seen, 3, unit.stride), *make.point(seen, middle), *make.depth(middle, 3, 1)]
            main += [*make.point(middle, middle), *make.depth(middle, 3, 1), *make.point(middle, outputs)]
        self.branch_main = nn.Sequential(*main)
        if unit.stride == 2:
            self.branch_proj = nn.Sequential(*make.depth(seen, kernel, 2), *make.point(seen, seen))

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 2:
            return torch.cat([self.branch_proj(x), self.branch_main(x)], dim=1)
        return torch.cat([x[:, 0::2], self.branch_main(x[:, 1::2])], dim=1)


class _Parts(NamedTuple):
    """The two kinds of convolution, with their batch norm."""

    eps: float

    def point(self, inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs, eps=self.eps), nn.ReLU()]

    def depth(self, channels: int, kernel: int, stride: int) -> list[nn.Module]:
        conv = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
        return [conv, nn.BatchNorm2d(channels, eps=self.eps)]


class ShuffleNetwork(Network):
    """Stem (stride 2, 16 wide), units, a pointwise convolution to 1024, pooling, dropout, a classifier without bias."""

    def __init__(self, units: Sequence[Unit], inputs: int, classes: int, eps: float, dropout: float) -> None:
        super().__init__()
        self.first_conv = nn.Sequential(
            nn.Conv2d(inputs, 16, 3, 2, padding=1, bias=False), nn.BatchNorm2d(16, eps=eps), nn.ReLU()
        )
        widths = [16, *(unit.outputs for unit in units)]
        self.features = nn.ModuleList(ShuffleUnit(width, unit, eps) for width, unit in zip(widths, units, strict=False))
        self.conv_last = nn.Sequential(*_Parts(eps).point(widths[-1], 1024))
        self.pool = GlobalPool()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(1024, classes, bias=False)

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        x = self.first_conv(x)
        for unit in self.features:
            x = unit(x)
        features = self.pool(self.conv_last(x))
        return Output(self.classifier(self.dropout(features)), features)
