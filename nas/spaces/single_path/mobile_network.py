"""Networks of inverted residual blocks (MobileNetV2), with squeeze-and-excitation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.nn.ops import GlobalPool
from nas.spaces.base import Network, Output


class Block(NamedTuple):
    """An inverted residual: ``kernel`` of the depthwise convolution, ``expansion`` of the width, stride, width."""

    kernel: int
    expansion: int
    stride: int
    outputs: int


class SqueezeExcite(nn.Module):
    """Channels weighed by what their means say (Hu et al., CVPR 2018): [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = GlobalPool()
        self.conv_reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = nn.SiLU()
        self.conv_expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        means = self.pool(x)[:, :, None, None]
        return x * self.gate(self.conv_expand(self.act(self.conv_reduce(means))))


class DepthwiseSeparable(nn.Module):
    """Depthwise 3x3, batch norm, ReLU, pointwise, batch norm: the first block of the chain."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.act = nn.ReLU()
        self.conv_pw = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv_pw(self.act(self.bn1(self.conv_dw(x)))))


class InvertedResidual(nn.Module):
    """Pointwise to a multiple of the width, depthwise, squeeze-and-excitation, pointwise; a sum where shapes allow.

    The squeezed width is ``squeeze`` times that of the block's input, 0 leaves squeeze-and-excitation out.
    """

    def __init__(self, inputs: int, block: Block, squeeze: float) -> None:
        super().__init__()
        kernel, wide = block.kernel, inputs * block.expansion
        self.residual = block.stride == 1 and inputs == block.outputs
        self.conv_pw = nn.Conv2d(inputs, wide, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(wide)
        self.act1 = nn.SiLU()
        self.conv_dw = nn.Conv2d(wide, wide, kernel, block.stride, kernel // 2, groups=wide, bias=False)
        self.bn2 = nn.BatchNorm2d(wide)
        self.act2 = nn.SiLU()
        self.se = SqueezeExcite(wide, max(1, int(squeeze * inputs))) if squeeze else nn.Identity()
        self.conv_pwl = nn.Conv2d(wide, block.outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(block.outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.bn1(self.conv_pw(x)))
        y = self.bn3(self.conv_pwl(self.se(self.act2(self.bn2(self.conv_dw(y))))))
        return x + y if self.residual else y


class MobileNetwork(Network):
    """Stem, a depthwise separable block, the chosen blocks (None: a skip, which is left out), head, classifier.

    The stem halves the resolution, 32 wide; the first block brings it to 16; the head is ``head`` wide. ``dropout``
    is in front of the classifier.
    """

    def __init__(
        self, blocks: Sequence[Block | None], inputs: int, classes: int, squeeze: float, head: int, dropout: float
    ) -> None:
        super().__init__()
        self.conv_stem = nn.Conv2d(inputs, 32, 3, 2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.act1 = nn.ReLU()
        self.blocks = nn.ModuleList([DepthwiseSeparable(32, 16)])
        width = 16
        for block in blocks:
            if block is not None:
                self.blocks.append(InvertedResidual(width, block, squeeze))
                width = block.outputs
        self.conv_head = nn.Conv2d(width, head, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(head)
        self.act2 = nn.ReLU()
        self.pool = GlobalPool()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(head, classes)

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        x = self.act1(self.bn1(self.conv_stem(x)))
        for block in self.blocks:
            x = block(x)
        features = self.pool(self.act2(self.bn2(self.conv_head(x))))
        return Output(self.classifier(self.dropout(features)), features)
