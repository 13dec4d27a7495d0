"""Tests of the supernet of NATS-Bench's size space against loops over channels."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture.cell import Architecture, EdgeWeights
from nas.objectives.resource_penalty import layer_cost, op_costs
from nas.spaces.nats_size.notation import from_widths
from nas.spaces.nats_size.skeleton import WIDTH_OF_BLOCK
from nas.spaces.nats_size.space import NatsSize

SMALL = (2, 3, 5, 8)


def norm(x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, training=True)


def reference(net: nn.Module, x: Tensor, choose: Any) -> Tensor:
    """Compute the supernet from its tensors; ``choose(x, block)`` follows each block."""
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
        return F.conv2d(x, weight, bias, stride, padding=weight.shape[2] // 2)

    def affine(name: str, x: Tensor) -> Tensor:
        return norm(x) * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]

    x = choose(norm(conv("stem.0", x)), 0)
    for block in range(1, 6):
        at = f"cells.{block - 1}"
        if block in (2, 4):
            inner = affine(f"{at}.conv_a.op.2", conv(f"{at}.conv_a.op.1", x.relu(), 2))
            inner = affine(f"{at}.conv_b.op.2", conv(f"{at}.conv_b.op.1", inner.relu()))
            x = inner + conv(f"{at}.downsample.1", F.avg_pool2d(x, 2, 2, ceil_mode=True))
        else:
            edge = {e: (lambda y, n=f"{at}.edges.{e}.op.1": norm(conv(n, y.relu()))) for e in ("0_1", "0_2", "1_2")}
            edge |= {e: (lambda y, n=f"{at}.edges.{e}.op.1": norm(conv(n, y.relu()))) for e in ("1_3", "2_3")}
            one = edge["0_1"](x)
            two = edge["0_2"](x) + edge["1_2"](one)
            x = x + edge["1_3"](one) + edge["2_3"](two)
        x = choose(x, block)
    features = norm(x).relu().mean((2, 3))
    return features @ state["classifier.weight"].T + state["classifier.bias"]


def architecture(blocks: int, soft: bool) -> Architecture:
    torch.manual_seed(blocks)
    op = torch.rand(blocks, len(SMALL), dtype=torch.float64)
    op = op.softmax(-1) if soft else F.one_hot(op.argmax(-1), len(SMALL)).double()
    return {"cell": EdgeWeights(op.requires_grad_(), (op > 0).tolist())}


@pytest.mark.parametrize("blocks", [5, 6])
@pytest.mark.parametrize("soft", [True, False])
def test_mask_equals_loops(blocks: int, soft: bool) -> None:
    torch.manual_seed(0)
    net = NatsSize((3, 9, 9), 4, SMALL).supernet().double().train()
    x, arch = torch.randn(3, 3, 9, 9, dtype=torch.float64), architecture(blocks, soft)
    op = arch["cell"].op

    def choose(x: Tensor, block: int) -> Tensor:
        row = block if blocks == 6 else max(0, block - 1)
        channels = [x[:, c] * sum(op[row, w] for w, width in enumerate(SMALL) if c < width) for c in range(8)]
        return torch.stack(channels, dim=1)

    logits, expected = net(x, arch), reference(net, x, choose)
    assert torch.allclose(logits, expected, rtol=1e-10, atol=1e-12)
    grads = [torch.autograd.grad(out.square().sum(), op, retain_graph=True)[0] for out in (logits, expected)]
    assert torch.allclose(*grads, rtol=1e-8, atol=1e-10) and grads[0].abs().sum(-1).min() > 0


@pytest.mark.parametrize("soft", [True, False])
def test_interpolate_equals_loops(soft: bool) -> None:
    """Channel j of a resized feature is the mean of the channels that its interval overlaps."""
    torch.manual_seed(0)
    net = NatsSize((3, 9, 9), 4, SMALL, mix="interpolate").supernet().double().train()
    x, arch = torch.randn(3, 3, 9, 9, dtype=torch.float64), architecture(6, soft)
    op, active = arch["cell"].op, [[on and w != 3 for w, on in enumerate(row)] for row in arch["cell"].active]
    arch = {"cell": EdgeWeights(op, active)}

    def choose(x: Tensor, block: int) -> Tensor:
        columns = [w for w, on in enumerate(active[block]) if on]
        widest = max((SMALL[w] for w in columns), default=0)
        out = [torch.zeros_like(x[:, 0]) for _ in range(8)]
        for w, j in itertools.product(columns, range(widest)):
            first, last = j * SMALL[w] // widest, -(-(j + 1) * SMALL[w] // widest)
            out[j] = out[j] + op[block, w] * x[:, first:last].mean(1)
        return torch.stack(out, dim=1)

    logits, expected = net(x, arch), reference(net, x, choose)
    assert torch.allclose(logits, expected, rtol=1e-10, atol=1e-12)
    grads = [torch.autograd.grad(out.square().sum(), op, retain_graph=True)[0] for out in (logits, expected)]
    assert torch.allclose(*grads, rtol=1e-8, atol=1e-10)


def test_supernet_layers_equal_the_published_code() -> None:
    net = NatsSize((3, 8, 8), 4).supernet()
    convs = {name: m for name, m in net.named_modules() if isinstance(m, nn.Conv2d)}
    norms = {name: m for name, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)}
    in_reduction = [name for name in {**convs, **norms} if name.startswith(("cells.1.", "cells.3."))]
    assert len(convs) == 1 + 3 * 5 + 2 * 3 and all(m.out_channels == 64 for m in convs.values())
    assert {name for name, m in convs.items() if m.bias is None} == {n for n in in_reduction if n in convs}
    assert {name for name, m in norms.items() if m.affine} == {n for n in in_reduction if n in norms}
    assert {name for name, m in norms.items() if m.track_running_stats} == {n for n in in_reduction if n in norms}
    assert tuple(max(0, block - 1) for block in range(6)) == WIDTH_OF_BLOCK


def test_op_costs_equal_the_costs_of_the_blocks() -> None:
    """A width costs as much as its blocks in the network whose other layers have maximal width."""
    space = NatsSize((3, 9, 9), 4, SMALL)
    (found,) = op_costs(space.supernet(), space.cells, space.shape).values()
    for row, (column, width) in itertools.product(range(5), enumerate(SMALL)):
        widths = [width if layer == row else 8 for layer in range(5)]
        net, expected = space.network(from_widths(widths)), torch.zeros(3)
        parts = [net.get_submodule(f"cells.{row}"), *([net.get_submodule("stem")] if row == 0 else [])]
        for conv in (m for part in parts for m in part.modules() if isinstance(m, nn.Conv2d)):
            conv.register_forward_hook(
                lambda m, i, out, to=expected: (to.add_(torch.tensor(layer_cost(m, out))), out)[1]
            )
        net.eval()(torch.randn(1, 3, 9, 9))
        assert torch.equal(found[:, 0, row, column], expected)
