"""Tests of mixed edges."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nas.architecture.cell import EdgeWeights
from nas.nn.edges.mixed import EdgeRow, MixedEdge, unbind_rows
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


def test_mixed_edge_is_a_weighted_sum_times_its_scale() -> None:
    torch.manual_seed(0)
    edge = MixedEdge(OPS, 4, 1, OpOptions()).eval()
    x, weights = torch.randn(2, 4, 5, 6), torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25])
    with torch.no_grad():
        expected = sum(w * edge[op](x) for op, w in zip(OPS, weights, strict=True) if op != "none")
        for scale in (None, torch.tensor(0.5)):
            found = edge(x, EdgeRow(weights.unbind(0), [True] * 5, scale))
            torch.testing.assert_close(found, expected if scale is None else 0.5 * expected)
            row = EdgeRow(weights.unbind(0), [True] * 5, scale)
            torch.testing.assert_close(row.weight(2), weights[2] * (1.0 if scale is None else 0.5))


def test_weights_of_a_row_are_scaled_once_for_all_cells() -> None:
    weights = torch.tensor([[0.2, 0.3, 0.5]], dtype=torch.float64, requires_grad=True)
    scales = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)
    (row,) = unbind_rows(EdgeWeights(weights, [[True] * 3], scales))
    first, second = row.weight(2), row.weight(2)
    assert first is second
    (2 * first + 3 * second + row.weight(0)).backward()
    assert weights.grad is not None and scales.grad is not None
    assert torch.allclose(weights.grad, torch.tensor([[0.7, 0.0, 3.5]], dtype=torch.float64))
    assert torch.allclose(scales.grad, torch.tensor([5 * 0.5 + 0.2], dtype=torch.float64))
