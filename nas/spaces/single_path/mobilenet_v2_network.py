"""Networks of MobileNetV2's inverted residual blocks with squeeze-and-excitation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.nn.depthwise import DepthwiseConv2d
from nas.nn.pooling import GlobalPool
from nas.spaces.base import Network, Output


class BlockSpec(NamedTuple):
    """Size of an inverted residual: depthwise kernel, expansion of the input width, stride and output width."""

    kernel: int
    expansion: int
    stride: int
    outputs: int


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation (Hu et al., CVPR 2018): [B, C, H, W] -> [B, C, H, W]."""

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
    """Depthwise 3x3, batch norm, ReLU, pointwise, batch norm: the first block of the chain.

    [B, inputs, H, W] -> [B, outputs, H, W].
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_dw = DepthwiseConv2d(inputs, 3)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.act = nn.ReLU()
        self.conv_pw = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv_pw(self.act(self.bn1(self.conv_dw(x)))))


class InvertedResidual(nn.Module):
    """Pointwise expansion, depthwise convolution, squeeze-and-excitation and pointwise projection.

    [B, inputs, H, W] -> [B, outputs, H/s, W/s]. A residual connection is added if the shape does not change. The
    squeezed width is ``squeeze`` times the input width; 0 omits squeeze-and-excitation.
    """

    def __init__(self, inputs: int, block: BlockSpec, squeeze: float) -> None:
        super().__init__()
        kernel, wide = block.kernel, inputs * block.expansion
        self.residual = block.stride == 1 and inputs == block.outputs
        self.conv_pw = nn.Conv2d(inputs, wide, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(wide)
        self.act1 = nn.SiLU()
        self.conv_dw = DepthwiseConv2d(wide, kernel, block.stride)
        self.bn2 = nn.BatchNorm2d(wide)
        self.act2 = nn.SiLU()
        self.se = SqueezeExcite(wide, max(1, int(squeeze * inputs))) if squeeze else nn.Identity()
        self.conv_pwl = nn.Conv2d(wide, block.outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(block.outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.bn1(self.conv_pw(x)))
        y = self.bn3(self.conv_pwl(self.se(self.act2(self.bn2(self.conv_dw(y))))))
        return x + y if self.residual else y


class MobileNetV2Network(Network):
    """Stem, depthwise separable block, the chosen blocks, head and classifier.

    Args:
        blocks: sizes of the blocks; a skip (None) is omitted.
        inputs: channels of an image.
        classes: number of classes.
        squeeze: ratio of squeeze-and-excitation, 0 for none.
        head: width of the last pointwise convolution.
        dropout: probability of dropout before the classifier.
    """

    def __init__(
        self, blocks: Sequence[BlockSpec | None], inputs: int, classes: int, squeeze: float, head: int, dropout: float
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
