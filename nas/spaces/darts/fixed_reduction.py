"""The reduction cell that GDAS (FRC) does not search."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.nn.drop_path import DropPath
from nas.nn.ops import OpOptions
from nas.utils.errors import NasError

GROUPS = 8


class FixedReduction(nn.Module):
    """The hand-made reduction cell of GDAS (Dong and Yang, CVPR 2019), in the place of a searched one.

    [B, before, H, W], [B, last, H, W] -> [B, 4 * channels, H/2, W/2]: of each input, brought to ``channels`` by
    ``preprocess0`` and ``preprocess1``, a branch of grouped 1x3 and 3x1 convolutions, then of each a max pool.
    ``nodes`` is the width of its output in channels, as of a cell with four nodes.
    """

    nodes = 4

    def __init__(self, preprocess0: nn.Module, preprocess1: nn.Module, channels: int, options: OpOptions) -> None:
        super().__init__()
        if channels % GROUPS:
            raise NasError(
                f"the fixed reduction cell has convolutions of {GROUPS} groups: it cannot be {channels} channels wide; "
                "choose space.channels (in train.py network.channels) divisible by 4"
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
