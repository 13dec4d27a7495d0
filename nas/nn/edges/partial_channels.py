"""Edges that send a part of their channels through the candidate ops."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.nn.edges.mixed import MixedEdge, Row
from nas.nn.ops import OpOptions
from nas.utils.errors import NasError


class PartialChannels(MixedEdge):
    """1/``channel_divisor`` of the channels go through the ops, the others bypass them (PC-DARTS, Xu et al., 2020).

    [B, C, H, W] -> [B, C, ceil(H/s), ceil(W/s)]. Always the first channels are processed; at stride 2 the others are
    max-pooled 2x2; a channel shuffle with ``channel_divisor`` groups then mixes both, so that the next edge processes
    others. The scale of the edge acts on all channels, the bypassed ones too. An edge whose ops are all switched off
    carries nothing; one whose only op is ``none`` still carries the bypassed channels, as published.
    """

    def __init__(
        self, ops: Sequence[str | None], channels: int, stride: int, options: OpOptions, channel_divisor: int = 4
    ) -> None:
        if channel_divisor < 1 or channels % channel_divisor:
            raise NasError(
                f"an edge with {channels} channels cannot send 1/{channel_divisor} of them through its ops: "
                f"make space.channels a multiple of {channel_divisor}, or change method.edge.channel_divisor"
            )
        super().__init__(ops, channels // channel_divisor, stride, options)
        self.channel_divisor = channel_divisor
        self.processed = channels // channel_divisor

    def forward(self, x: Tensor, row: Row | None = None) -> Tensor | None:
        if row is not None and not any(row.active):
            return None
        if self.channel_divisor == 1:
            return super().forward(x, row)
        mixed = super().forward(x[:, : self.processed], row)
        rest = self.bypass(x)
        if row is not None and row.scale is not None:
            rest = rest * row.scale
        if mixed is None:
            mixed = rest.new_zeros(rest.shape[0], self.processed, *rest.shape[2:])
        return shuffle(torch.cat([mixed, rest], dim=1), self.channel_divisor)

    def bypass(self, x: Tensor) -> Tensor:
        """The channels that no op sees, at the resolution of the output."""
        rest = x[:, self.processed :]
        return rest if self.stride == 1 else F.max_pool2d(rest, self.stride, self.stride, ceil_mode=True)


def shuffle(x: Tensor, groups: int) -> Tensor:
    """Channel shuffle of [B, C, H, W] (Zhang et al., CVPR 2018): channel j of group i moves to j * groups + i."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)
