"""Candidate ops of the published spaces and their options for batch norm and biases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.nn.depthwise import DepthwiseConv2d
from nas.nn.memory_format import random_like
from nas.nn.pooling import AvgPool, Pool, SharedReLU
from nas.utils.errors import NasError, one_line
from nas.utils.own_parts import target_of

PoolNorm = Literal["none", "plain", "affine"]


@dataclass(frozen=True)
class OpOptions:
    """Differences between the published implementations of an op.

    Args:
        affine: whether batch norm has a scale and a shift.
        track: whether batch norm tracks running statistics.
        bias: whether convolutions before a batch norm, except depthwise ones, have a bias.
        pool_norm: batch norm after pooling: "none", "plain" (not affine) or "affine".
        own: builders of custom ops by name.
    """

    affine: bool = True
    track: bool = True
    bias: bool = False
    pool_norm: PoolNorm = "none"
    own: Mapping[str, OpBuilder] = field(default_factory=dict, hash=False)

    def norm(self, channels: int) -> nn.BatchNorm2d:
        """Build a batch norm with these options."""
        return nn.BatchNorm2d(channels, affine=self.affine, track_running_stats=self.track)

    def build(self, op: str, channels: int, stride: int) -> nn.Module:
        """Build the op of a name. Raises NasError, which names the class, if a custom op cannot be built."""
        own = self.own.get(op)
        return OPS[op](channels, stride, self) if own is None else self.build_custom(op, own, channels, stride)

    def build_custom(self, name: str, build: OpBuilder, channels: int, stride: int) -> nn.Module:
        """Build a custom op. Raises NasError, which names the class, if that fails."""
        where = f"space.ops: the op '{name}' ({target_of(build)}) with channels={channels} and stride={stride}"
        try:
            op = build(channels, stride, self)
        except Exception as error:  # whatever the code of the user raises
            reason = f"{type(error).__name__}: {one_line(error)[:300]}"
            raise NasError(
                f"{where} cannot be built ({reason}). It is called with channels, stride, options."
            ) from error
        if not isinstance(op, nn.Module):
            raise NasError(f"{where} is a {type(op).__name__}. Return a torch.nn.Module.")
        return op

    def can_skip(self, stride: int) -> bool:
        """Return whether an edge of this stride can have a skip connection."""
        return True


OpBuilder = Callable[[int, int, OpOptions], nn.Module]
"""Function (channels, stride, options) -> op, an op that preserves the number of channels."""


class ReluConvNorm(nn.Module):
    """ReLU, convolution, batch norm (pre-activation). [B, in, H, W] -> [B, out, ceil(H/s), ceil(W/s)].

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        kernel: size of the kernel.
        stride: s.
        options: bias and batch norm.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, options: OpOptions) -> None:
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=options.bias)
        self.op = nn.Sequential(SharedReLU(), conv, options.norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class ConvNormRelu(nn.Module):
    """Convolution, batch norm, ReLU: an op of NAS-Bench-101. [B, C, H, W] -> [B, C, ceil(H/s), ceil(W/s)]."""

    def __init__(self, channels: int, kernel: int, stride: int, options: OpOptions) -> None:
        super().__init__()
        conv = nn.Conv2d(channels, channels, kernel, stride, padding=kernel // 2, bias=options.bias)
        self.op = nn.Sequential(conv, options.norm(channels), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class SeparableConv(nn.Module):
    """ReLU, depthwise and pointwise convolution and batch norm, twice; the stride is in the first half.

    [B, C, H, W] -> [B, C, ceil(H/s), ceil(W/s)].
    """

    def __init__(self, channels: int, kernel: int, stride: int, options: OpOptions) -> None:
        super().__init__()
        self.op = nn.Sequential(
            SharedReLU(),
            *_depthwise(channels, kernel, stride, 1, options),
            nn.ReLU(),
            *_depthwise(channels, kernel, 1, 1, options),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class DilatedConv(nn.Module):
    """ReLU, depthwise convolution with dilation 2, pointwise convolution, batch norm.

    [B, C, H, W] -> [B, C, ceil(H/s), ceil(W/s)].
    """

    def __init__(self, channels: int, kernel: int, stride: int, options: OpOptions) -> None:
        super().__init__()
        self.op = nn.Sequential(SharedReLU(), *_depthwise(channels, kernel, stride, 2, options))

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class FactorizedReduce(nn.Module):
    """Reduction by two strided 1x1 convolutions, one pixel apart: [B, in, H, W] -> [B, out, ceil(H/2), ceil(W/2)].

    Features with an odd side are padded by one pixel at the right and the bottom, so that both halves have one size.
    """

    def __init__(self, inputs: int, outputs: int, options: OpOptions) -> None:
        super().__init__()
        self.relu = SharedReLU()
        self.conv_1 = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=options.bias)
        self.conv_2 = nn.Conv2d(inputs, outputs - outputs // 2, 1, stride=2, bias=options.bias)
        self.bn = options.norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Return the input of the batch norm."""
        x = self.relu(x)
        # the gradient of a slice would be in the contiguous format, also if that of x is channels last
        shifted = F.pad(x, (-1, x.shape[-1] % 2, -1, x.shape[-2] % 2))
        return torch.cat([self.conv_1(x), self.conv_2(shifted)], dim=-3)


class FactorizedConv(nn.Module):
    """ReLU, dense 1xk and kx1 convolutions, batch norm: an op of AmoebaNet (k = 7) and SETN (k = 3).

    [B, C, H, W] -> [B, C, ceil(H/s), ceil(W/s)].
    """

    def __init__(self, channels: int, kernel: int, stride: int, options: OpOptions) -> None:
        super().__init__()
        half = kernel // 2
        self.op = nn.Sequential(
            SharedReLU(),
            nn.Conv2d(channels, channels, (1, kernel), stride=(1, stride), padding=(0, half), bias=False),
            nn.Conv2d(channels, channels, (kernel, 1), stride=(stride, 1), padding=(half, 0), bias=False),
            options.norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Noise(nn.Module):
    """Standard normal noise independent of the input: the harmful op of space S4 (RobustDARTS).

    [B, C, H, W] -> [B, C, ceil(H/s), ceil(W/s)].
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return random_like(strided(x, self.stride), torch.randn_like)


class NormedOp(NamedTuple):
    """An op in two parts."""

    features: Callable[[Tensor], Tensor]
    """The op without its last batch norm."""
    norm: nn.BatchNorm2d


def split_norm(op: nn.Module) -> NormedOp | None:
    """Return the two parts of an op that ends with a plain batch norm of a fixed momentum, None for another op."""
    if type(op) is FactorizedReduce:
        normed_op = NormedOp(op.features, op.bn)
    else:
        layers = getattr(op, "op", None) if type(op) in LAYERED else op
        if type(layers) is not nn.Sequential:  # the class of a custom op may execute its layers in another way
            return None
        normed_op = NormedOp(layers[:-1], layers[-1])  # type: ignore[arg-type]
    return normed_op if type(normed_op.norm) is nn.BatchNorm2d and normed_op.norm.momentum is not None else None


def strided(x: Tensor, stride: int) -> Tensor:
    """Return every ``stride``-th pixel of [B, C, H, W], which has the shape of the output of an op with this stride."""
    return x if stride == 1 else x[..., ::stride, ::stride]


def _depthwise(channels: int, kernel: int, stride: int, dilation: int, options: OpOptions) -> list[nn.Module]:
    return [
        DepthwiseConv2d(channels, kernel, stride, dilation),
        nn.Conv2d(channels, channels, 1, bias=options.bias),
        options.norm(channels),
    ]


def _with_norm(pool: nn.Module, channels: int, options: OpOptions) -> nn.Module:
    if options.pool_norm == "none":
        return pool
    norm = nn.BatchNorm2d(channels, affine=options.pool_norm == "affine", track_running_stats=options.track)
    return nn.Sequential(pool, norm)


def _max_pool(channels: int, stride: int, options: OpOptions) -> nn.Module:
    return _with_norm(Pool(nn.MaxPool2d(3, stride, padding=1), "max", stride), channels, options)


def _avg_pool(channels: int, stride: int, options: OpOptions) -> nn.Module:
    return _with_norm(Pool(AvgPool(stride), "avg", stride), channels, options)


def _skip(channels: int, stride: int, options: OpOptions) -> nn.Module:
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, options)


def _separable(kernel: int) -> OpBuilder:
    return lambda channels, stride, options: SeparableConv(channels, kernel, stride, options)


def _dilated(kernel: int) -> OpBuilder:
    return lambda channels, stride, options: DilatedConv(channels, kernel, stride, options)


def _factorized(kernel: int) -> OpBuilder:
    return lambda channels, stride, options: FactorizedConv(channels, kernel, stride, options)


def _conv_norm_relu(kernel: int) -> OpBuilder:
    return lambda channels, stride, options: ConvNormRelu(channels, kernel, stride, options)


def _relu_conv(kernel: int) -> OpBuilder:
    return lambda channels, stride, options: ReluConvNorm(channels, channels, kernel, stride, options)


LAYERED = (ReluConvNorm, ConvNormRelu, SeparableConv, DilatedConv, FactorizedConv)
"""Ops that consist of the layers in ``op``."""

OPS: Mapping[str, OpBuilder] = {
    "skip_connect": _skip,
    "max_pool_3x3": _max_pool,
    "avg_pool_3x3": _avg_pool,
    "sep_conv_3x3": _separable(3),
    "sep_conv_5x5": _separable(5),
    "sep_conv_7x7": _separable(7),
    "dil_conv_3x3": _dilated(3),
    "dil_conv_5x5": _dilated(5),
    "conv_3x1_1x3": _factorized(3),
    "conv_7x1_1x7": _factorized(7),
    "nor_conv_1x1": _relu_conv(1),
    "nor_conv_3x3": _relu_conv(3),
    "noise": lambda channels, stride, options: Noise(stride),
    "conv3x3-bn-relu": _conv_norm_relu(3),
    "conv1x1-bn-relu": _conv_norm_relu(1),
    "maxpool3x3": _max_pool,
}
"""Builders of all ops except ``none``, which is never built."""
