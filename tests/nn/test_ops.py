"""Candidate ops: their receptive fields and the two halves of a reduction."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.nn.ops import OPS, FactorizedReduce, OpOptions


@pytest.mark.parametrize(
    ("op", "reach"),
    [
        ("skip_connect", {0}),
        ("nor_conv_1x1", {0}),
        ("nor_conv_3x3", {-1, 0, 1}),
        ("max_pool_3x3", {-1, 0, 1}),
        ("avg_pool_3x3", {-1, 0, 1}),
        ("sep_conv_3x3", {-2, -1, 0, 1, 2}),
        ("sep_conv_5x5", set(range(-4, 5))),
        ("dil_conv_3x3", {-2, 0, 2}),
        ("dil_conv_5x5", {-4, -2, 0, 2, 4}),
    ],
)
def test_receptive_field_of_an_op(op: str, reach: set[int]) -> None:
    """The output pixel in the middle of a row depends on these columns of the input, seen in evaluation mode."""
    torch.manual_seed(0)
    module = OPS[op](4, 1, OpOptions()).double().eval()
    seen: set[int] = set()
    for _ in range(4):  # a maximum depends on one pixel at a time
        x = torch.rand(1, 4, 11, 11, dtype=torch.float64).add_(0.1).requires_grad_()
        (grad,) = torch.autograd.grad(module(x)[0, :, 5, 5].sum(), x)
        seen |= {int(column) - 5 for column in grad.abs().sum(dim=(0, 1, 2)).nonzero()}
    assert seen == reach


def test_factorized_reduce_reads_even_and_odd_pixels() -> None:
    reduce = FactorizedReduce(1, 2, OpOptions()).double().eval()
    for conv in (reduce.conv_1, reduce.conv_2):
        nn.init.ones_(conv.weight)
    x = torch.arange(1.0, 17.0, dtype=torch.float64).view(1, 1, 4, 4)
    found = reduce(x)[0] * (1 + reduce.bn.eps) ** 0.5
    torch.testing.assert_close(found, torch.stack([x[0, 0, ::2, ::2], x[0, 0, 1::2, 1::2]]))


@pytest.mark.parametrize("size", [(8, 8), (7, 6)])
def test_gradient_of_factorized_reduce_has_the_format_of_its_input(size: tuple[int, int]) -> None:
    """Compare with a slice too, whose gradient is always contiguous."""
    reduce = FactorizedReduce(4, 4, OpOptions()).double()
    x = torch.randn(2, 4, *size, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    (grad,) = torch.autograd.grad(reduce(x).square().sum(), x)
    assert grad.is_contiguous(memory_format=torch.channels_last)
    relu = x.relu()
    odd = nn.functional.pad(relu, (0, size[1] % 2, 0, size[0] % 2))[..., 1:, 1:]
    expected = reduce.bn(torch.cat([reduce.conv_1(relu), reduce.conv_2(odd)], dim=1))
    torch.testing.assert_close(grad, torch.autograd.grad(expected.square().sum(), x)[0])
