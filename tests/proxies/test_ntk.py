"""Rows of the neural tangent kernel by every way of computing them."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from nas.proxies.ntk import Ntk, per_sample_gradients
from nas.proxies.pruned import PrunedSupernet
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.proxy_tools import (
    random_batch,
)


@pytest.mark.parametrize("space", [NasBench201((3, 8, 8), 10), Darts((3, 8, 8), 10)], ids=["nas_bench_201", "darts"])
def test_per_sample_gradients_agree_for_all_options(space: Space) -> None:
    """Compare one backward pass per image, all at once, and fused convolutions in float64."""
    torch.manual_seed(0)
    net = space.probe("ntk").double().train()
    alive = {name: cell.allowed().tolist() for name, cell in space.cells.items()}
    x = random_batch(4)[0]
    weights = [p for name, p in net.named_parameters() if "weight" in name]
    found = [
        per_sample_gradients(PrunedSupernet(net, alive, fuse=fuse)(x).sum(1), weights, rows)
        for fuse, rows in itertools.product((False, True), ("loop", "batched"))
    ]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-7, atol=1e-9 * float(found[0].abs().max()))


@pytest.mark.parametrize("count", [5, 17], ids=["batched", "loop"])
def test_per_sample_gradients_equal_closed_form(count: int) -> None:
    """Cover both choices of "auto" on a CPU, and a weight on which nothing depends."""
    torch.manual_seed(0)
    x, weight, unused = torch.randn(count, 3), torch.randn(3, requires_grad=True), torch.randn(2, requires_grad=True)
    found = [
        per_sample_gradients((x @ weight).square() / 2, [weight, unused], rows) for rows in ("auto", "loop", "batched")
    ]
    for rows in found:
        torch.testing.assert_close(rows, (x @ weight).detach()[:, None] * x)
    independent = per_sample_gradients((x @ weight).square(), [unused])
    assert independent.shape == (count, 1) and not independent.any()


@pytest.mark.parametrize("float64", [True, False])
def test_ntk_kernel_of_a_linear_layer_needs_double_precision(float64: bool) -> None:
    """The kernel is classes * X X^T. For two nearly parallel images it is singular in float32."""
    x = torch.tensor([[1.0, 0.0], [1.0, 2.0**-13]]).view(2, 2, 1, 1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 3))
    kernel = 3 * torch.tensor([[1.0, 1.0], [1.0, 1.0 + 2.0**-26]], dtype=torch.float64)
    proxy = Ntk(float64=float64)
    found = proxy.kernel(network, x)
    assert found.dtype == (torch.float64 if float64 else torch.float32)
    if float64:
        assert torch.equal(found, kernel)
        assert proxy(network, (x, torch.zeros(2)), torch.Generator()) == pytest.approx(4 * 2.0**26, rel=1e-6)
    else:
        assert torch.equal(found, torch.full((2, 2), 3.0)), "the difference of the images is lost"


def test_ntk_has_double_precision_by_default() -> None:
    assert Ntk().float64
