"""Networks of ShuffleNetV2 units with three kernel sizes, and of Single Path One-Shot's Xception-like unit."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.nn.depthwise import DepthwiseConv2d
from nas.nn.pooling import GlobalPool
from nas.spaces.base import Network, Output
from nas.spaces.single_path.chain_body import Blocks, MixedChain
from nas.spaces.single_path.layout import FixedSizes

STEM_STD, CLASSIFIER_STD, NORM_BIAS = 0.01, 0.01, 1e-4
"""Initialization of the authors: standard deviations of the first convolution and the classifier, bias of norms."""


class UnitSpec(NamedTuple):
    """Size of a unit: depthwise kernel (0 for the Xception-like unit), inner width, stride and output width."""

    kernel: int
    middle: int
    stride: int
    outputs: int


class ConvNorm(NamedTuple):
    """Builder of pointwise and depthwise convolutions, each followed by batch norm.

    ``eps`` is its epsilon; with ``affine`` it has a scale and a shift.
    """

    eps: float = 1e-5
    affine: bool = True

    def norm(self, channels: int) -> nn.BatchNorm2d:
        """Build a batch norm."""
        return nn.BatchNorm2d(channels, eps=self.eps, affine=self.affine)

    def point(self, inputs: int, outputs: int) -> list[nn.Module]:
        """Build a pointwise convolution, batch norm and ReLU."""
        return [nn.Conv2d(inputs, outputs, 1, bias=False), self.norm(outputs), nn.ReLU()]

    def depth(self, channels: int, kernel: int, stride: int) -> list[nn.Module]:
        """Build a depthwise convolution and batch norm."""
        return [DepthwiseConv2d(channels, kernel, stride), self.norm(channels)]


class ShuffleUnit(nn.Module):
    """ShuffleNetV2 unit (Ma et al., ECCV 2018): [B, C, H, W] -> [B, outputs, H/s, W/s].

    A unit of stride 1 that keeps the width splits its input. The odd channels pass the main branch and the even
    channels bypass it, which is the channel shuffle of the paper applied before the unit instead of after it. In
    another unit all channels pass the main branch and a projection.
    """

    def __init__(self, inputs: int, unit: UnitSpec, make: ConvNorm) -> None:
        super().__init__()
        self.splits = unit.stride == 1 and inputs == unit.outputs
        width = inputs // 2 if self.splits else inputs
        kernel, middle, outputs = unit.kernel or 3, unit.middle, unit.outputs - width
        if unit.kernel:
            main = [*make.point(width, middle), *make.depth(middle, kernel, unit.stride), *make.point(middle, outputs)]
        else:
            main = [*make.depth(width, 3, unit.stride), *make.point(width, middle), *make.depth(middle, 3, 1)]
            main += [*make.point(middle, middle), *make.depth(middle, 3, 1), *make.point(middle, outputs)]
        self.branch_main = nn.Sequential(*main)
        if not self.splits:
            self.branch_proj = nn.Sequential(*make.depth(width, kernel, unit.stride), *make.point(width, width))

    def forward(self, x: Tensor) -> Tensor:
        if not self.splits:
            return torch.cat([self.branch_proj(x), self.branch_main(x)], dim=-3)
        return torch.cat([x[..., 0::2, :, :], self.branch_main(x[..., 1::2, :, :])], dim=-3)


class ShuffleNetV2Network(Network):
    """Stem, units, pointwise convolution, global pooling, dropout and a classifier without bias.

    Args:
        features: the units, or the mixed edges of a supernet.
        sizes: sizes of the fixed layers.
        make: builds the convolutions of stem and head.
        dropout: probability of dropout before the classifier.
    """

    def __init__(
        self,
        features: Blocks | MixedChain,
        sizes: FixedSizes,
        make: ConvNorm,
        dropout: float,
    ) -> None:
        super().__init__()
        conv = nn.Conv2d(sizes.image, sizes.stem, 3, sizes.stem_stride, padding=1, bias=False)
        self.first_conv = nn.Sequential(conv, make.norm(sizes.stem), nn.ReLU())
        self.features = features
        self.conv_last = nn.Sequential(*make.point(sizes.body, sizes.head))
        self.pool = GlobalPool()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(sizes.head, sizes.classes, bias=False)
        self._initialize(conv)

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        x = self.features(self.first_conv(x), arch)
        features = self.pool(self.conv_last(x))
        return Output(self.classifier(self.dropout(features)), features)

    def _initialize(self, stem: nn.Conv2d) -> None:
        """Initialize all parameters as in the code of Single Path One-Shot and DSNAS.

        The standard deviation of a convolution is 1 / weight.shape[1], hence 1 for depthwise convolutions.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, STEM_STD if module is stem else 1.0 / module.weight.shape[1])
            elif isinstance(module, nn.BatchNorm2d) and module.affine:
                nn.init.constant_(module.bias, NORM_BIAS)
        nn.init.normal_(self.classifier.weight, 0.0, CLASSIFIER_STD)
