"""Tests of memory formats of features and of their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.nn.memory_format import is_channels_last, random_like, with_dense_gradient
from nas.spaces.darts.space import Darts
from nas.spaces.genotype_file import load_genotype

FORMATS = [torch.contiguous_format, torch.channels_last]


def test_single_pixels_are_in_no_format_of_their_own() -> None:
    """Their channels are neighbors in each format, and the default computation must not depend on the size."""
    assert not is_channels_last(torch.randn(2, 3, 1, 1))
    assert not is_channels_last(torch.randn(2, 3, 4, 4))
    assert is_channels_last(torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last))


@pytest.mark.parametrize("draw", [torch.randn_like, torch.rand_like])
def test_random_numbers_do_not_depend_on_the_memory_format(draw: Callable[[Tensor], Tensor]) -> None:
    found, x = [], torch.zeros(3, 5, 8, 8)
    for features in (x, x.contiguous(memory_format=torch.channels_last), torch.zeros(3, 5, 16, 16)[:, :, ::2, ::2]):
        torch.manual_seed(0)
        found.append(random_like(features, draw))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    assert [is_channels_last(numbers) for numbers in found] == [False, True, False]
    assert random_like(torch.zeros(2, 3, 5, 8, 8), draw).shape == (2, 3, 5, 8, 8)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("dense", [False, True])
def test_gradient_of_a_part_of_a_concatenation(memory_format: torch.memory_format, dense: bool) -> None:
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=memory_format).requires_grad_()
    slope = torch.randn(2, 6, 4, 4).contiguous(memory_format=memory_format)
    node, seen = x * 1, list[Tensor]()
    node.register_hook(seen.append)
    part = with_dense_gradient(node) if dense else node
    (torch.cat([part, torch.zeros_like(x)], dim=1) * slope).sum().backward()
    assert torch.equal(seen[0], slope[:, :3])
    assert seen[0].is_contiguous(memory_format=memory_format) == dense
    assert with_dense_gradient(x.detach()).grad_fn is None


@pytest.mark.parametrize("bf16", [False, True])
def test_no_gradient_of_a_channels_last_network_is_contiguous(bf16: bool) -> None:
    """One contiguous gradient makes the ops before it slow, and the addition to another gradient very slow."""
    torch.manual_seed(0)
    network = Darts((3, 32, 32), 10).network(load_genotype("DARTS_V2"), channels=4, layers=3, auxiliary=False).train()
    network.to(memory_format=torch.channels_last)
    wrong: list[str] = []

    def watch(module: nn.Module, inputs: Any, output: Tensor) -> None:
        def check(grad: Tensor) -> None:
            if not is_channels_last(grad):
                wrong.append(type(module).__name__)

        if output.dim() == 4:
            output.register_hook(check)

    for module in network.modules():
        if next(module.children(), None) is None:
            module.register_forward_hook(watch)
    images = torch.randn(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = network(images)
    logits.float().square().sum().backward()
    assert not wrong
