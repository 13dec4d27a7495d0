"""Synaptic flow against values of zero-cost-nas."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.proxies.proxy import weight_layers
from nas.proxies.pruned import PrunedSupernet
from nas.proxies.synflow import Synflow
from nas.spaces.nas_bench_201.notation import from_ops
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.proxy_tools import (
    CONV1,
    CONV3,
    NONE,
    SKIP,
)


@pytest.mark.parametrize(
    ("ops", "plain", "bn"),
    [
        ([SKIP] * 6, 2.2770199974e11, 14.951883956),
        ([NONE] * 6, 0.0, 0.0),
        ([CONV1] * 6, 1.9584102943e19, 11.124291716),
        ([CONV3] * 6, 5.1816038170e55, 29.654217478),
        ([CONV3] * 3 + [SKIP] * 3, 2.6009393218e38, 15.855858970),
    ],
    ids=["skip", "none", "conv1", "conv3", "conv3_skip"],
)
def test_synflow_of_constant_weights_equals_zero_cost_nas(ops: list[str], plain: float, bn: float) -> None:
    """Use its own network size, weights of 0.05 and no biases."""
    space = NasBench201((3, 32, 32), 10, track_statistics=False, conv_bias=False)
    net = PrunedSupernet(space.supernet(), {k: w.active for k, w in space.encode(from_ops(ops)).items()})
    for layer in weight_layers(net).values():
        nn.init.constant_(layer.weight, 0.05)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    images = torch.zeros(1, 3, 32, 32), torch.zeros(1)
    for keep_bn, expected in ((False, plain), (True, bn)):
        found = Synflow(bn=keep_bn, keep=["Reduction"])(net, images, torch.Generator())
        assert found == pytest.approx(expected, rel=1e-6)


def test_synflow_of_two_layers_by_hand() -> None:
    """With all tensors made positive, R = sum |W2| (|W1| 1 + |b1|) + |b2|; a score sums |w dR/dw| over a layer."""
    torch.manual_seed(0)
    first, second = nn.Linear(4, 3), nn.Linear(3, 2)
    x = torch.randn(2, 1, 2, 2)
    found = Synflow()(nn.Sequential(nn.Flatten(), first, nn.ReLU(), second), (x, torch.zeros(2)), torch.Generator())
    w1, b1, w2 = (part.detach().double().abs() for part in (first.weight, first.bias, second.weight))
    expected = (w2 @ w1).sum() + (w2 @ (w1.sum(1) + b1)).sum()
    assert found == pytest.approx(float(expected), rel=1e-6)
