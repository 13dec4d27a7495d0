"""Zen-score against its formula and the procedure of the authors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nas.proxies.proxy import weight_layers
from nas.proxies.zen import Zen


def test_zen_of_linear_network_equals_formula() -> None:
    """Without batch norm the network is linear, and the score is the log of the distance of its features."""
    net = nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2))
    x = torch.zeros(4, 3, 6, 6)
    net[1] = nn.Identity()  # the last map is that of the convolution
    net[3] = nn.Linear(5 * 16, 2)
    found = Zen(gamma=0.5, repeats=1)(net, (x, x), torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    kernel = torch.randn(5, 3, 3, 3, generator=generator)
    torch.randn(2, 80, generator=generator)
    torch.randn(x.shape, generator=generator)
    e = torch.randn(x.shape, generator=generator)
    assert found == pytest.approx(math.log(F.conv2d(0.5 * e, kernel).abs().sum((1, 2, 3)).mean()), rel=1e-4)


@pytest.mark.parametrize("carry", [True, False], ids=["carry", "reset"])
def test_zen_with_batch_norm_equals_authors_procedure(carry: bool) -> None:
    """Reinitialize the modules for each repeat; their running variances continue (``carry``) or are reset."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 1, bias=False))
    net.extend([nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)])
    net[5] = nn.Identity()  # the last map is that of the second batch norm
    net[7] = nn.Linear(4 * 16, 2)
    x = torch.zeros(4, 3, 6, 6)
    found = Zen(repeats=5, carry=carry)(net, (x, x), torch.Generator().manual_seed(3))

    generator = torch.Generator().manual_seed(3)
    values = []
    norms = [m for m in net if isinstance(m, nn.BatchNorm2d)]
    for _ in range(5):
        for layer in weight_layers(net).values():
            layer.weight.data = torch.randn(layer.weight.shape, generator=generator)
            if layer.bias is not None:
                layer.bias.data.zero_()
        for norm in norms if not carry else ():
            norm.reset_running_stats()
        x, e = (torch.randn(x.shape, generator=generator) for _ in range(2))
        moved = (net[:5](x) - net[:5](x + 0.01 * e)).detach().abs().sum((1, 2, 3)).mean()
        values.append(math.log(moved) + sum(math.log(norm.running_var.mean().sqrt()) for norm in norms))
    assert found == pytest.approx(np.mean(values), rel=1e-4)
