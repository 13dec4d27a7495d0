"""Tests of partial channel connections and of the channel shuffle."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.edges.partial_channels import PartialChannels, channel_shuffle, join_channels
from nas.nn.ops import OpOptions
from nas.spaces.darts.space import Darts
from nas.utils.errors import NasError

OPTIONS = OpOptions(affine=False, pool_norm="plain")
OPS = ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3")


def row(weights: Tensor, active: list[bool], scale: float | None = None) -> EdgeRow:
    return EdgeRow(weights.unbind(0), active, None if scale is None else torch.tensor(scale, dtype=weights.dtype))


@pytest.mark.parametrize(("stride", "side"), [(1, 6), (2, 6), (2, 5)])
def test_partial_channels_shuffle_all_channels(stride: int, side: int) -> None:
    """Channel j of group i moves to j * K + i, and the scale multiplies all channels."""
    torch.manual_seed(0)
    divisor, channels = 4, 8
    edge = PartialChannels(OPS, channels, stride, OPTIONS, channel_divisor=divisor).double()
    x, weights = torch.randn(3, channels, side, side).double(), torch.rand(4).double()
    size = channels // divisor
    plain = MixedEdge.forward(edge, x[:, :size], row(weights, [True] * 4))
    assert plain is not None
    bypass = x[:, size:] if stride == 1 else F.max_pool2d(x[:, size:], 2, ceil_mode=True)
    before = torch.cat([plain, bypass], dim=1)
    out = edge(x, row(weights, [True] * 4, 0.3))
    assert out is not None and out.shape == before.shape
    for group in range(divisor):
        for j in range(size):
            torch.testing.assert_close(out[:, j * divisor + group], 0.3 * before[:, group * size + j])


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_joined_channels_are_shuffled_in_their_memory_format(memory_format: torch.memory_format) -> None:
    mixed, bypassed = (torch.randn(2, c, 5, 6).contiguous(memory_format=memory_format) for c in (3, 9))
    joined = join_channels(mixed, bypassed, 4)
    assert torch.equal(joined, channel_shuffle(torch.cat([mixed, bypassed], dim=1), 4))
    assert joined.is_contiguous(memory_format=memory_format)


def test_partial_channels_bypass_with_only_none_active() -> None:
    edge = PartialChannels(OPS, 8, 1, OPTIONS)
    x, weights = torch.randn(2, 8, 4, 4), torch.rand(4)
    assert edge(x, row(weights, [False] * 4)) is None
    out = edge(x, row(weights, [True, False, False, False]))
    assert torch.equal(out, channel_shuffle(torch.cat([torch.zeros(2, 2, 4, 4), x[:, 2:]], dim=1), 4))


def test_partial_channels_divisor_1_equals_the_mixed_edge() -> None:
    torch.manual_seed(0)
    edge = PartialChannels(OPS, 8, 1, OPTIONS, channel_divisor=1)
    torch.manual_seed(0)
    plain = MixedEdge(OPS, 8, 1, OPTIONS)
    x, given = torch.randn(2, 8, 4, 4), row(torch.rand(4), [True] * 4, 0.5)
    assert torch.equal(edge(x, given), plain(x, given))


def test_partial_channels_refuse_indivisible_channels() -> None:
    with pytest.raises(NasError, match="channel_divisor=4: .*10 channels.*multiple of 4"):
        Darts((3, 16, 16), 10, channels=10).supernet(partial(PartialChannels, channel_divisor=4))
