"""Tests of edges with binary gates: gradients of gates against a mixture of all outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.nn.edges.binary_gates import BinaryGates
from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.ops import OpOptions

OPS = ("none", "skip_connect", "nor_conv_3x3", "avg_pool_3x3", "nor_conv_1x1")


def gates_of(edge: MixedEdge, x: Tensor, active: int, measured: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the output, the gradient of the gates and that of the input, for a fixed upstream gradient."""
    gates = torch.eye(len(OPS), dtype=x.dtype)[active].requires_grad_()
    x = x.clone().requires_grad_()
    row = EdgeRow(gates.unbind(), [column == active for column in range(len(OPS))], None, measured=measured)
    out = edge(x, row)
    assert isinstance(out, Tensor)
    upstream = torch.linspace(-1, 1, out.numel(), dtype=x.dtype).view_as(out)
    (out * upstream).sum().backward()
    assert x.grad is not None
    return out, gates.grad if gates.grad is not None else torch.zeros(len(OPS), dtype=x.dtype), x.grad


def test_gate_gradients_are_those_of_a_mixture_of_all_outputs() -> None:
    torch.manual_seed(0)
    edge = BinaryGates(OPS, 4, 1, OpOptions()).double()
    x = torch.randn(3, 4, 6, 5, dtype=torch.float64)
    out, gates, grad_x = gates_of(edge, x, 2, [True, True, True, False, True])
    torch.testing.assert_close(out, edge["nor_conv_3x3"](x))
    upstream = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view_as(out)
    expected = [0.0, *(float((edge[op](x) * upstream).detach().sum()) for op in OPS[1:])]
    expected[3] = 0.0  # not measured
    torch.testing.assert_close(gates, torch.tensor(expected, dtype=torch.float64))
    _, _, alone = gates_of(edge, x, 2, [False] * 5)
    torch.testing.assert_close(grad_x, alone, msg="the input gets the gradient of the active op alone")


def test_measured_ops_run_in_the_backward_pass_and_have_no_gradient() -> None:
    torch.manual_seed(0)
    edge = BinaryGates(OPS, 4, 1, OpOptions())
    norms = {op: edge.get_submodule(f"{op}.op.2") for op in ("nor_conv_3x3", "nor_conv_1x1")}
    before = {op: norm.running_mean.clone() for op, norm in norms.items()}  # type: ignore[union-attr, operator]
    with torch.no_grad():
        row = EdgeRow(torch.eye(5)[2].unbind(), [c == 2 for c in range(5)], None, measured=[True] * 5)
        edge(torch.randn(2, 4, 5, 5), row)
    assert torch.equal(norms["nor_conv_1x1"].running_mean, before["nor_conv_1x1"])  # type: ignore[arg-type]
    gates_of(edge, torch.randn(2, 4, 5, 5), 2, [True] * 5)
    assert not torch.equal(norms["nor_conv_1x1"].running_mean, before["nor_conv_1x1"])  # type: ignore[arg-type]
    has_grad = {name.split(".")[0] for name, p in edge.named_parameters() if p.grad is not None}
    assert has_grad == {"nor_conv_3x3"}


def test_an_active_none_leaves_the_edge_without_output() -> None:
    edge = BinaryGates(OPS, 4, 1, OpOptions())
    row = EdgeRow(torch.eye(5)[0].unbind(), [c == 0 for c in range(5)], None, measured=[True] * 5)
    assert edge(torch.randn(2, 4, 5, 5), row) is None
