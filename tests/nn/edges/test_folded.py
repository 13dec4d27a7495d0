"""Mixing weights folded into batch norms: results equal those of plain edges."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nas.nn.cell_graph import CellGraph
from nas.nn.edges.folded import WeightFolding, add_scaled
from nas.nn.edges.mixed import EdgeFactory, EdgeRow, MixedEdge
from nas.nn.ops import OPS, OpOptions, split_norm
from nas.nn.pooling import SharedReLU
from nas.spaces.base import Network, Space
from tests.nn.test_fused_cell_graph import EDGES, MORE_OPS, OPTIONS, assert_same, outputs_and_gradients, space, weights


def pair(name: str, edge: EdgeFactory = MixedEdge, **options: Any) -> tuple[Space, Network, Network]:
    """Build a space and its supernet, plain and folded, in float64 with the same weights."""
    target = space(name, False, **options)
    plain, folded = (target.supernet(edge).double() for _ in range(2))
    folded.load_state_dict(plain.state_dict())
    executor = WeightFolding()
    for graph in folded.modules():
        if isinstance(graph, CellGraph):
            graph.share_relus()
            for one in graph.edges.values():
                one.executor = executor
    return target, plain, folded


@pytest.mark.parametrize("scaled", [False, True], ids=["unscaled", "scaled"])
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", ["nas_bench_201", "darts"])
def test_every_edge(name: str, edge: str, scaled: bool) -> None:
    target, plain, folded = pair(name, EDGES[edge])
    assert_same(plain, folded, weights(target, edge=scaled))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", ["nas_bench_201", "darts"])
def test_every_option(name: str, options: str) -> None:
    target, plain, folded = pair(name, **OPTIONS[options])
    assert_same(plain, folded, weights(target))


@pytest.mark.parametrize("norm", ["none", "plain", "affine"])
def test_pools_and_other_ops(norm: str) -> None:
    target, plain, folded = pair("darts", pool_norm=norm, ops=MORE_OPS)
    assert_same(plain, folded, weights(target))


@pytest.mark.parametrize("edge", ["mixed", "gdas", "partial"])
@pytest.mark.parametrize("density", [0.0, 0.15, 0.5])
def test_inactive_ops(density: float, edge: str) -> None:
    target, plain, folded = pair("nas_bench_201", EDGES[edge])
    assert_same(plain, folded, weights(target, density))


def test_weights_without_gradient_leave_out_the_inactive_ops() -> None:
    """Leave out the weights of inactive ops, which are zero up to rounding and matter only for their gradients."""
    target, plain, folded = pair("nas_bench_201", EDGES["gdas"])
    arch = {
        name: row._replace(op=row.op.detach() * torch.tensor(row.active)) for name, row in weights(target, 0.3).items()
    }
    x = torch.randn(4, *target.shape, dtype=torch.float64)
    torch.testing.assert_close(plain(x, arch), folded(x, arch), rtol=1e-9, atol=1e-10)


def test_relu_of_a_node_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    original = nn.ReLU.forward
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: calls.append(1) or original(self, x))
    target, plain, folded = pair("nas_bench_201")
    counts = []
    for network in (plain, folded):
        calls.clear()
        outputs_and_gradients(network, weights(target))
        counts.append(len(calls))
    assert counts[0] - counts[1] == 3 * (6 * 2 - 3), "per cell: 6 edges of two convolutions, 3 nodes"
    memos = [module.memo for module in folded.modules() if isinstance(module, SharedReLU)]
    assert not any(memos), "no features are kept after a pass"


@pytest.mark.parametrize("channels_last", [False, True])
def test_batch_norms_receive_gradients_without_gaps(channels_last: bool) -> None:
    """Check the gradients of a concatenation, whose slices each batch norm would copy."""
    edge = MixedEdge(["nor_conv_3x3", "skip_connect"], 4, 1, OpOptions())
    edge.executor = WeightFolding()
    x = torch.randn(2, 4, 5, 5)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    row = EdgeRow(torch.rand(2).unbind(0), [True, True], None)
    out = edge(x, row)
    seen: list[torch.Tensor] = []
    assert out is not None
    out.grad_fn.register_hook(lambda inputs, outputs: seen.append(outputs[0]))
    torch.cat([out, out.detach()], dim=1).square().sum().backward()
    fmt = torch.channels_last if channels_last else torch.contiguous_format
    assert seen[0].is_contiguous(memory_format=fmt)


@pytest.mark.parametrize("formats", [(False, False), (True, True), (True, False)])
def test_add_scaled_and_its_derivatives(formats: tuple[bool, bool]) -> None:
    kinds = [torch.channels_last if last else torch.contiguous_format for last in formats]
    total, x = (torch.randn(2, 3, 4, 5).double().contiguous(memory_format=kind).requires_grad_() for kind in kinds)
    weight = torch.rand(()).double().requires_grad_()
    torch.testing.assert_close(add_scaled(total.clone(), x, weight), total + weight * x)
    inputs = total, x, weight
    assert torch.autograd.gradcheck(lambda total, x, weight: add_scaled(total.clone(), x, weight), inputs)
    assert torch.autograd.gradgradcheck(lambda total, x, weight: add_scaled(total.clone(), x, weight).square(), inputs)
    assert add_scaled(None, x.detach(), weight).equal(x.detach() * weight)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", sorted(OPS))
def test_split_op_equals_the_op(name: str, stride: int) -> None:
    torch.manual_seed(0)
    op, x = OPS[name](4, stride, OpOptions(pool_norm="affine")), torch.randn(3, 4, 8, 8)
    parts = split_norm(op)
    if parts is None:
        assert name == "noise" or name.endswith("-bn-relu") or (name == "skip_connect" and stride == 1)
    else:
        torch.testing.assert_close(parts.norm(parts.features(x)), op(x))
