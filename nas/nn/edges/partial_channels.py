"""Partial channel connections and the channel shuffle of PC-DARTS."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.memory_format import is_channels_last
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

    Args:
        ops, channels, stride, options: see ``MixedEdge``.
        channel_divisor: K.

    Raises:
        NasError: if ``channel_divisor`` does not divide ``channels``.
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
        # a split, because the gradient of a slice is contiguous
        part, rest = x.split([self.op_channels, x.shape[-3] - self.op_channels], dim=-3)
        mixed = super().forward(part, row)
        bypassed = self.bypass(rest)
        if row is not None and row.scale is not None:
            bypassed = bypassed * row.scale
        if mixed is None:
            mixed = bypassed.new_zeros(*bypassed.shape[:-3], self.op_channels, *bypassed.shape[-2:])
        return join_channels(mixed, bypassed, self.channel_divisor)

    def bypass(self, rest: Tensor) -> Tensor:
        """Return the output for the channels that no op reads, [B, C - C/K, ceil(H/s), ceil(W/s)]."""
        if self.stride == 1:
            return rest
        return on_images(lambda x: F.max_pool2d(x, self.stride, self.stride, ceil_mode=True), rest)


def join_channels(mixed: Tensor, bypassed: Tensor, groups: int) -> Tensor:
    """Return the channel shuffle of ``mixed`` [B, C/K, H, W] and ``bypassed`` [B, C - C/K, H, W] with K ``groups``.

    The result has the memory format of ``mixed``.
    """
    if mixed.dim() == 4 and is_channels_last(mixed):
        parts = [mixed, *bypassed.chunk(groups - 1, dim=1)]
        return torch.stack([part.permute(0, 2, 3, 1) for part in parts], dim=-1).flatten(-2).permute(0, 3, 1, 2)
    return channel_shuffle(torch.cat([mixed, bypassed], dim=-3), groups)


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Shuffle the channels of [B, C, H, W] (Zhang et al., CVPR 2018): channel j of group i moves to j * groups + i."""
    return x.unflatten(-3, (groups, -1)).transpose(-4, -3).flatten(-4, -3)
