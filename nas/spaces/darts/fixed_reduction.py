"""The fixed reduction cell of GDAS (FRC)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.nn.drop_path import DropPath
from nas.nn.ops import OpOptions
from nas.utils.errors import NasError

GROUPS = 8


class FixedReduction(nn.Module):
    """The hand-designed reduction cell of GDAS (Dong and Yang, CVPR 2019) in place of a searched one.

    [B, before, H, W], [B, last, H, W] -> [B, 4 * channels, H/2, W/2]. ``preprocess0`` and ``preprocess1`` project the
    inputs to ``channels``. Each input then passes a branch of grouped 1x3 and 3x1 convolutions and a max pool. As in a
    cell with four nodes, the output has 4 times ``channels`` channels (``nodes``).
    """

    nodes = 4

    def __init__(self, preprocess0: nn.Module, preprocess1: nn.Module, channels: int, options: OpOptions) -> None:
        super().__init__()
        if channels % GROUPS:
            raise NasError(
                f"channels={channels}: the fixed reduction cell has convolutions of {GROUPS} groups. "
                "Set space.channels (in train.py network.channels) to a multiple of 4."
            )
        self.preprocess0 = preprocess0
        self.preprocess1 = preprocess1
        self.conv_branches = nn.ModuleList(_convolutions(channels, options) for _ in range(2))
        self.pool_branches = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(3, stride=2, padding=1), options.norm(channels)) for _ in range(2)
        )
        self.drop_path = DropPath()

    def forward(self, before: Tensor, last: Tensor, table: None = None) -> Tensor:
        inputs = (self.preprocess0(before), self.preprocess1(last))
        branches = [
            branch(x)
            for kind in (self.conv_branches, self.pool_branches)
            for branch, x in zip(kind, inputs, strict=True)
        ]
        return torch.cat([self.drop_path(x) for x in branches], dim=1)


def _convolutions(channels: int, options: OpOptions) -> nn.Sequential:
    def grouped(kernel: tuple[int, int], stride: tuple[int, int]) -> nn.Conv2d:
        padding = (kernel[0] // 2, kernel[1] // 2)
        return nn.Conv2d(channels, channels, kernel, stride, padding, groups=GROUPS, bias=options.bias)

    return nn.Sequential(
        nn.ReLU(),
        grouped((1, 3), (1, 2)),
        grouped((3, 1), (2, 1)),
        options.norm(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 1, bias=options.bias),
        options.norm(channels),
    )
