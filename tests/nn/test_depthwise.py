"""Depthwise convolutions: gradients of all orders equal those of PyTorch's own, in every memory format."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import grad, jvp, vmap

import nas.nn.depthwise
from nas.nn.depthwise import DepthwiseConv2d, depthwise_conv2d

SIZES = [(8, 8), (7, 8), (8, 9), (1, 2)]


def own(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    return depthwise_conv2d(x, weight, stride, dilation)


def pytorch(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    return F.conv2d(x, weight, None, stride, dilation * (weight.shape[-1] - 1) // 2, dilation, x.shape[1])


def inputs(size: tuple[int, int], kernel: int, channels_last: bool) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, *size, dtype=torch.float64), torch.randn(3, 1, kernel, kernel, dtype=torch.float64)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    return x.requires_grad_(), weight.requires_grad_()


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("size", SIZES)
def test_gradients_of_both_orders_are_those_of_pytorch(size: tuple[int, int], kernel: int, channels_last: bool) -> None:
    x, weight = inputs(size, kernel, channels_last)
    for stride, dilation in product((1, 2), (1, 2, 3)):
        found = []
        for conv in (own, pytorch):
            torch.manual_seed(1)
            out = conv(x, weight, stride, dilation)
            first = torch.autograd.grad(out, (x, weight), torch.randn_like(out), create_graph=True)
            second = torch.autograd.grad(first, (x, weight), [torch.randn(t.shape, dtype=t.dtype) for t in first])
            found.append([out, *first, *second])
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dilation", [1, 2])
def test_transforms_of_functions(dilation: int) -> None:
    x, weight = inputs((8, 8), 5, False)
    losses = [
        lambda w, x, conv=conv: conv(x[None], w, 1, dilation).square().sum()  # type: ignore[misc]
        for conv in (own, pytorch)
    ]
    one, other = (vmap(grad(loss), (None, 0))(weight, x) for loss in losses)
    torch.testing.assert_close(one, other)
    one, other = (jvp(lambda w, loss=loss: loss(w, x[0]), (weight,), (weight + 1,))[1] for loss in losses)
    torch.testing.assert_close(one, other)
    tangents = [jvp(lambda x, conv=conv: conv(x, weight, 1, dilation), (x,), (x + 1,))[1] for conv in (own, pytorch)]
    torch.testing.assert_close(*tangents)


@pytest.mark.parametrize("stride", [1, 2])
def test_batched_gradients(stride: int) -> None:
    """Compare batched gradients, from which zero-cost proxies compute their kernels."""
    x, weight = inputs((8, 8), 5, False)
    for dilation in (1, 2):
        out = own(x, weight, stride, dilation)
        rows = torch.randn(3, *out.shape, dtype=torch.float64)
        batched = torch.autograd.grad(out, (x, weight), rows, is_grads_batched=True, retain_graph=True)
        for i, row in enumerate(rows):
            for one, other in zip(batched, torch.autograd.grad(out, (x, weight), row, retain_graph=True), strict=True):
                torch.testing.assert_close(one[i], other)


def test_only_slow_gradients_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    original = nas.nn.depthwise._DepthwiseConv.apply
    monkeypatch.setattr(nas.nn.depthwise._DepthwiseConv, "apply", lambda *a: calls.append(1) or original(*a))
    x = torch.randn(2, 4, 8, 8)
    DepthwiseConv2d(4, 3)(x)
    with torch.no_grad():
        DepthwiseConv2d(4, 5)(x)
    assert not calls
    DepthwiseConv2d(4, 5)(x)
    DepthwiseConv2d(4, 3, 1, 2)(x)
    assert len(calls) == 2
    DepthwiseConv2d(4, 3, 2)(x)
    assert len(calls) == 2
    with torch.autocast("cpu", dtype=torch.bfloat16):
        DepthwiseConv2d(4, 3)(x)
        DepthwiseConv2d(4, 3, 2)(x)
    assert len(calls) == 3


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (5, 2, 1), (5, 1, 1), (3, 1, 2), (3, 2, 2)])
def test_gradients_in_bfloat16_are_rounded_ones_of_float32(kernel: int, stride: int, dilation: int) -> None:
    x, weight = (t.detach().bfloat16().requires_grad_() for t in inputs((8, 8), kernel, True))
    x32, weight32 = (t.detach().float().requires_grad_() for t in (x, weight))
    out, expected = own(x, weight, stride, dilation), pytorch(x32, weight32, stride, dilation)
    slope = torch.randn_like(out)
    found = torch.autograd.grad(out, (x, weight), slope)
    for one, other in zip(found, torch.autograd.grad(expected, (x32, weight32), slope.float()), strict=True):
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one.float(), other, rtol=2**-8, atol=1e-5)


def test_autocast_computes_gradients_in_low_precision() -> None:
    conv, x = DepthwiseConv2d(4, 5, 1, 2), torch.randn(2, 4, 8, 8, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = conv(x)
    assert out.dtype == torch.bfloat16
    out.float().square().sum().backward()
    assert x.grad is not None and x.grad.dtype == torch.float32
    got = conv.weight.grad
    assert got is not None and got.dtype == torch.float32
    conv.weight.grad = None
    conv(x).square().sum().backward()
    torch.testing.assert_close(got, conv.weight.grad, rtol=0.1, atol=0.5)


def test_module_is_a_convolution_of_pytorch() -> None:
    own, usual = DepthwiseConv2d(4, 5, 2, 2), nn.Conv2d(4, 4, 5, 2, 4, 2, groups=4, bias=False)
    usual.load_state_dict(own.state_dict())
    x = torch.randn(2, 4, 9, 8)
    assert torch.equal(own(x), usual(x))
    program = torch.export.export(own, (x,), strict=False)
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert called <= {"aten.conv2d.default", "aten.convolution.default"}
