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


class Branches(nn.Module):
    """A cell of three ReLUs: one leads to the output, one ends unused, one reads zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused, self.constant = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.unused(x.sin())
        return self.used(x) + self.constant(torch.zeros_like(x))


class Branched(nn.Module):
    """Two cells of ``Branches`` and a linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.ModuleList([Branches(), Branches()])
        self.classifier = nn.Linear(3 * 8 * 8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for cell in self.cells:
            x = cell(x)
        return self.classifier(x.flatten(1))


def test_wrcor_counts_activations_that_no_gradient_reaches() -> None:
    torch.manual_seed(0)
    network, (x, y) = Branched().double(), random_batch(5)
    hidden = x.relu().requires_grad_()
    loss = nn.functional.cross_entropy(network.classifier(hidden.flatten(1)), y)
    (gradient,) = torch.autograd.grad(loss, hidden)
    expected = torch.zeros(5, 5, dtype=torch.float64)
    for weight, features in ((1, x), (2, x.relu())):
        used, unused = features, features.sin()
        for rows in (used, unused, gradient * (features > 0)):
            expected += weight * torch.corrcoef(rows.flatten(1).detach()).abs()
    torch.testing.assert_close(WrCor().kernel(network, (x, y)), expected)
