"""Networks of MobileNetV2's inverted residual blocks, with or without squeeze-and-excitation."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.nn.depthwise import DepthwiseConv2d
from nas.nn.drop_path import DropPath
from nas.nn.pooling import GlobalPool
from nas.spaces.base import Network, Output
from nas.spaces.single_path.chain_body import Blocks, MixedChain
from nas.spaces.single_path.layout import FixedSizes

Activation = Literal["swish", "relu6"]
"""``relu6``: ReLU6 everywhere (ProxylessNAS, FairNAS). ``swish``: swish in the inverted residuals, ReLU elsewhere."""
_INNER: dict[str, type[nn.Module]] = {"swish": nn.SiLU, "relu6": nn.ReLU6}
_OUTER: dict[str, type[nn.Module]] = {"swish": nn.ReLU, "relu6": nn.ReLU6}


class BlockSpec(NamedTuple):
    """Size of an inverted residual: depthwise kernel, expansion of the input width, stride and output width."""

    kernel: int
    expansion: int
    stride: int
    outputs: int


class Style(NamedTuple):
    """Layers of a network.

    Attributes:
        squeeze: ratio of squeeze-and-excitation to the input of a block, 0 for none.
        activation: see ``Activation``.
        eps: epsilon of batch norm.
        affine: whether batch norm has a scale and a shift.
    """

    squeeze: float = 0.0
    activation: Activation = "relu6"
    eps: float = 1e-5
    affine: bool = True

    def norm(self, channels: int) -> nn.BatchNorm2d:
        """Build a batch norm."""
        return nn.BatchNorm2d(channels, eps=self.eps, affine=self.affine)

    def inner(self) -> nn.Module:
        """Build an activation within inverted residuals."""
        return _INNER[self.activation]()

    def outer(self) -> nn.Module:
        """Build an activation of the stem, the first block or the head."""
        return _OUTER[self.activation]()


def make_divisible(value: float, divisor: int) -> int:
    """Round to a multiple of ``divisor`` that is at least 0.9 ``value`` (MobileNet)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


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
        means = self.pool(x)[..., None, None]
        return x * self.gate(self.conv_expand(self.act(self.conv_reduce(means))))


class DepthwiseSeparable(nn.Module):
    """Depthwise 3x3, batch norm, activation, pointwise, batch norm: the first block of the chain.

    [B, inputs, H, W] -> [B, outputs, H, W].
    """

    def __init__(self, inputs: int, outputs: int, style: Style) -> None:
        super().__init__()
        self.conv_dw = DepthwiseConv2d(inputs, 3)
        self.bn1 = style.norm(inputs)
        self.act = style.outer()
        self.conv_pw = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn2 = style.norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv_pw(self.act(self.bn1(self.conv_dw(x)))))


class InvertedResidual(nn.Module):
    """Pointwise expansion, depthwise convolution, squeeze-and-excitation and pointwise projection.

    [B, inputs, H, W] -> [B, outputs, H/s, W/s]. A residual connection is added if the shape does not change; drop path
    then applies to the block. With squeeze-and-excitation, the expanded width is a multiple of 8, as in timm.
    """

    def __init__(self, inputs: int, block: BlockSpec, style: Style) -> None:
        super().__init__()
        wide = inputs * block.expansion
        if style.squeeze:
            wide = make_divisible(wide, 8)
        self.residual = block.stride == 1 and inputs == block.outputs
        self.conv_pw = nn.Conv2d(inputs, wide, 1, bias=False)
        self.bn1 = style.norm(wide)
        self.act1 = style.inner()
        self.conv_dw = DepthwiseConv2d(wide, block.kernel, block.stride)
        self.bn2 = style.norm(wide)
        self.act2 = style.inner()
        self.se = SqueezeExcite(wide, make_divisible(style.squeeze * inputs, 1)) if style.squeeze else None
        self.conv_pwl = nn.Conv2d(wide, block.outputs, 1, bias=False)
        self.bn3 = style.norm(block.outputs)
        if self.residual:
            self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        y = self.act2(self.bn2(self.conv_dw(self.act1(self.bn1(self.conv_pw(x))))))
        if self.se is not None:
            y = self.se(y)
        y = self.bn3(self.conv_pwl(y))
        return x + self.drop_path(y) if self.residual else y


class MobileNetV2Network(Network):
    """Stem, depthwise separable block, inverted residuals, head and classifier.

    Args:
        blocks: the chosen blocks, or the mixed edges of a supernet.
        first: width of the depthwise separable block.
        sizes: sizes of the other fixed layers.
        style: layers of the network.
        dropout: probability of dropout before the classifier.
    """

    def __init__(
        self,
        blocks: Blocks | MixedChain,
        first: int,
        sizes: FixedSizes,
        style: Style,
        dropout: float,
    ) -> None:
        super().__init__()
        self.conv_stem = nn.Conv2d(sizes.image, sizes.stem, 3, sizes.stem_stride, padding=1, bias=False)
        self.bn1 = style.norm(sizes.stem)
        self.act1 = style.outer()
        entry = DepthwiseSeparable(sizes.stem, first, style)
        if isinstance(blocks, Blocks):
            self.blocks: nn.ModuleList = Blocks([entry, *blocks])
            self.chain: MixedChain | None = None
        else:
            self.blocks, self.chain = Blocks([entry]), blocks
        self.conv_head = nn.Conv2d(sizes.body, sizes.head, 1, bias=False)
        self.bn2 = style.norm(sizes.head)
        self.act2 = style.outer()
        self.pool = GlobalPool()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(sizes.head, sizes.classes)
        self._initialize()

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        x = self.blocks(self.act1(self.bn1(self.conv_stem(x))))
        if self.chain is not None:
            assert arch is not None, "a supernet needs an architecture"
            x = self.chain(x, arch)
        features = self.pool(self.act2(self.bn2(self.conv_head(x))))
        return Output(self.classifier(self.dropout(features)), features)

    def _initialize(self) -> None:
        """Initialize as in FairNAS and timm: by the outgoing size of convolutions, not divided by their groups."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                std = math.sqrt(2.0 / (module.kernel_size[0] * module.kernel_size[1] * module.out_channels))
                nn.init.normal_(module.weight, 0.0, std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        bound = 1.0 / math.sqrt(self.classifier.out_features)
        nn.init.uniform_(self.classifier.weight, -bound, bound)
        nn.init.zeros_(self.classifier.bias)
