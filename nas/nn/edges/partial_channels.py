"""Partial channel connections and the channel shuffle of PC-DARTS."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.ops import OpOptions
from nas.nn.pooling import on_images
from nas.utils.errors import NasError
from nas.utils.ranges import CHANNELS, check_ranges


@check_ranges(channel_divisor=CHANNELS)
class PartialChannels(MixedEdge):
    """An edge that sends 1/K of its channels through the ops and bypasses the others (PC-DARTS, Xu et al., ICLR 2020).

    [B, C, H, W] -> [B, C, ceil(H/s), ceil(W/s)]. K is ``channel_divisor``. The ops always read the first C/K channels.
    The bypassed channels are max-pooled 2x2 at stride 2. A channel shuffle with K groups mixes both parts, so that the
    next edge processes other channels. The scale of the edge multiplies all channels. An edge without active ops has no
    output. An edge whose only active op is ``none`` still outputs the bypassed channels, as published.
    """

    def __init__(
        self, ops: Sequence[str | None], channels: int, stride: int, options: OpOptions, channel_divisor: int = 4
    ) -> None:
        if channel_divisor < 1 or channels % channel_divisor:
            raise NasError(
                f"method.edge.channel_divisor={channel_divisor}: an edge has {channels} channels, which it does not "
                f"divide. Set space.channels to a multiple of {channel_divisor}, or another channel_divisor."
            )
        super().__init__(ops, channels // channel_divisor, stride, options)
        self.channel_divisor = channel_divisor
        self.op_channels = channels // channel_divisor

    def forward(self, x: Tensor, row: EdgeRow | None = None) -> Tensor | None:
        if row is not None and not any(row.active):
            return None
        if self.channel_divisor == 1:
            return super().forward(x, row)
        mixed = super().forward(x[..., : self.op_channels, :, :], row)
        bypassed = self.bypass(x)
        if row is not None and row.scale is not None:
            bypassed = bypassed * row.scale
        if mixed is None:
            mixed = bypassed.new_zeros(*bypassed.shape[:-3], self.op_channels, *bypassed.shape[-2:])
        return channel_shuffle(torch.cat([mixed, bypassed], dim=-3), self.channel_divisor)

    def bypass(self, x: Tensor) -> Tensor:
        """Return the channels that no op reads, [B, C - C/K, ceil(H/s), ceil(W/s)]."""
        bypassed = x[..., self.op_channels :, :, :]
        if self.stride == 1:
            return bypassed
        return on_images(lambda x: F.max_pool2d(x, self.stride, self.stride, ceil_mode=True), bypassed)


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Shuffle the channels of [B, C, H, W] (Zhang et al., CVPR 2018): channel j of group i moves to j * groups + i."""
    return x.unflatten(-3, (groups, -1)).transpose(-4, -3).flatten(-4, -3)
