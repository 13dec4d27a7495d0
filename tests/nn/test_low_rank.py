"""Tests of low-rank updates of kernels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.nn.depthwise import DepthwiseConv2d
from nas.nn.fused_convs import can_convolve
from nas.nn.low_rank import LowRankUpdate, adapt
from nas.nn.ops import OPS, OpOptions


@pytest.mark.parametrize("conv", [nn.Conv2d(4, 6, 3, bias=True), nn.Conv2d(4, 6, 1), DepthwiseConv2d(6, 5, 2)])
def test_adapted_convolution_starts_unchanged_and_trains_the_update(conv: nn.Conv2d) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, conv.in_channels, 8, 8)
    before, kernel = conv(x), conv.weight
    update = LowRankUpdate(conv, rank=2, scale=3.0)
    adapt(conv, update)
    assert torch.equal(conv(x), before)
    optimizer = torch.optim.SGD([p for p in conv.parameters() if p.requires_grad], lr=0.5, weight_decay=0.1)
    for _ in range(2):
        conv(x).square().mean().backward()
        optimizer.step()
    assert kernel.grad is None and torch.equal(conv.parametrizations.weight.original, kernel)  # type: ignore[union-attr, index]
    change = (conv.weight - kernel).detach()
    torch.testing.assert_close(change, (1.5 * update.up @ update.down).view_as(change).detach(), rtol=1e-4, atol=1e-6)
    side, outputs = conv.kernel_size[0], conv.out_channels // conv.groups
    rows = change.reshape(outputs * side, conv.in_channels * side)
    assert change.any() and int(torch.linalg.matrix_rank(rows, rtol=1e-4)) <= 2 * side


def test_update_is_seeded_by_its_generator() -> None:
    conv = nn.Conv2d(4, 4, 3)
    first, second, third = (LowRankUpdate(conv, 1, 1.0, torch.Generator().manual_seed(s)).down for s in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, third)
    assert float(first.abs().max()) <= 1 / (4 * 3) ** 0.5 and not LowRankUpdate(conv, 1).up.any()


@pytest.mark.parametrize("name", ["sep_conv_3x3", "nor_conv_3x3"])
def test_adapted_ops_can_still_be_fused(name: str) -> None:
    op = OPS[name](4, 1, OpOptions())
    for conv in [module for module in op.modules() if isinstance(module, nn.Conv2d)]:
        adapt(conv, LowRankUpdate(conv, 1))
    assert can_convolve(op)
