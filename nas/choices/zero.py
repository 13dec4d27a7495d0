"""Candidate without an output: zeros."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.utils.ranges import CHANNELS, check_ranges


@check_ranges(stride=CHANNELS, channels=CHANNELS)
class Zero(nn.Module):
    """Zeros: [B, C, ...] -> [B, channels, ...], where each size after the channels is divided by ``stride``, upward.

    Args:
        stride: distance of the pixels that remain.
        channels: channels of the output; None: those of the input.
    """

    def __init__(self, stride: int = 1, channels: int | None = None) -> None:
        super().__init__()
        self.stride, self.channels = stride, channels

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[(slice(None), slice(None), *(x.dim() - 2) * [slice(None, None, self.stride)])]
        if self.channels is None:
            return torch.zeros_like(x)
        return x.new_zeros(x.shape[0], self.channels, *x.shape[2:])
