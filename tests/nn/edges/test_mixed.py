"""Tests of mixed edges."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.ops import OpOptions
from nas.spaces.nas_bench_201.notation import OPS


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("chosen", ["none", "skip_connect", "nor_conv_3x3"])
@pytest.mark.parametrize("stride", [1, 2])
def test_add_inactive_gives_gradients_to_skipped_ops(published: bool, chosen: str, stride: int) -> None:
    """With add_inactive (GDAS' code) skipped ops have the gradient of a constant 1, otherwise none."""
    torch.manual_seed(6)
    edge = MixedEdge(OPS, 4, stride, OpOptions(), add_inactive=published)
    x = torch.randn(2, 4, 5, 6)
    weights = F.one_hot(torch.tensor(OPS.index(chosen)), len(OPS)).float().requires_grad_()
    out = edge(x, EdgeRow(weights.unbind(0), [op == chosen for op in OPS], None))
    value = torch.zeros_like(x)[:, :, ::stride, ::stride] if chosen == "none" else edge[chosen](x).detach()
    if out is None:
        assert chosen == "none" and not published
        return
    assert torch.equal(out, value)
    grad = torch.randn_like(out)
    (found,) = torch.autograd.grad(out, weights, grad, allow_unused=True)
    expected = torch.full_like(weights, float(grad.sum()) if published else 0.0)
    expected[OPS.index(chosen)] = (grad * value).sum()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
