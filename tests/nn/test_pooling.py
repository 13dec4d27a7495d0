"""Tests of average pooling on the CPU against PyTorch, and of its derivatives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nas.nn.pooling import AvgPool, GlobalPool


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (5, 7), (8, 8)])
def test_avg_pool_equals_pytorch(size: tuple[int, int], stride: int) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = F.avg_pool2d(x, 3, stride, 1, count_include_pad=False)
    torch.testing.assert_close(AvgPool(stride)(x), expected, rtol=1e-12, atol=1e-14)
    channels_last = AvgPool(stride)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(channels_last, expected, rtol=1e-12, atol=1e-14)


def test_avg_pool_derivatives() -> None:
    x = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(AvgPool(1), (x,), check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(AvgPool(1), (x,), check_batched_grad=True)
    rows = torch.func.vmap(torch.func.jacrev(lambda one: AvgPool(1)(one[None])[0].sum(dim=0)))(x)
    assert rows.shape == (2, 4, 5, 2, 4, 5)


def test_exported_avg_pool_is_that_of_pytorch() -> None:
    program = torch.export.export(AvgPool(1), (torch.randn(2, 3, 8, 8),), strict=False)
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert called == {"aten.avg_pool2d.default"}


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_gradient_of_global_pool_has_the_format_of_its_input(memory_format: torch.memory_format) -> None:
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64).contiguous(memory_format=memory_format).requires_grad_()
    found = GlobalPool()(x)
    torch.testing.assert_close(found, x.mean(dim=(2, 3)))
    (grad,) = torch.autograd.grad(found.square().sum(), x)
    assert grad.is_contiguous(memory_format=memory_format)
    torch.testing.assert_close(grad, (found * 2 / 20)[..., None, None].expand_as(x))
