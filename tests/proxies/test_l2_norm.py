"""The norm of the weights, and the signed measure "plain"."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.proxies.gradient_based import Plain, Snip
from nas.proxies.l2_norm import L2Norm
from tests.support.proxy_tools import random_batch, small_network


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_l2_norm_and_plain_are_sums_over_layers() -> None:
    network, batch = small_network(), random_batch()
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    expected = sum(float(m.weight.detach().square().sum().sqrt()) for m in layers)
    assert L2Norm()(network, batch, generator()) == pytest.approx(expected, rel=1e-9)
    found = Plain()(network, batch, generator())
    assert found == Snip(signed=True)(network, batch, generator()) and abs(found) < Snip()(network, batch, generator())
