"""WRCor: weights of cells and limits."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nas.proxies.wrcor import WrCor
from tests.support.proxy_tools import random_batch, small_network


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_wrcor_weights_cells_by_depth() -> None:
    network, batch = small_network(), random_batch(5)
    kernel = WrCor().kernel(network, batch)
    count = 0.0
    for i, part in enumerate([*network.cells, network.lastact]):
        count += sum(2.0**i * 2 for m in part.modules() if isinstance(m, nn.ReLU))
    dead = float(count - kernel[0, 0])
    assert torch.allclose(kernel, kernel.T) and (kernel >= 0).all() and dead >= -1e-9
    assert kernel.diagonal().allclose(kernel[0, 0].expand(5)), "each correlation of an image with itself is 1"
    value = WrCor()(network, batch, generator())
    assert value == pytest.approx(float(torch.linalg.slogdet(kernel)[1]))
    assert WrCor(also=["ReluConvNorm"])(network, batch, generator()) > value
    same = batch[0][:1].expand(5, -1, -1, -1), batch[1][:1].expand(5)
    assert WrCor()(network, same, generator()) == -math.inf
