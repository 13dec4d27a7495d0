"""SWAP-Score: patterns of units over the images."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nas.proxies.linear_regions import count_distinct_rows
from nas.proxies.swap import Swap, count_patterns, unit_signs
from tests.support.proxy_tools import random_batch, small_network


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_swap_counts_patterns_over_the_images() -> None:
    network, (x, _) = small_network(), random_batch(5)
    signs = unit_signs(network, x)
    patterns = {tuple(column) for column in signs.T.tolist()}
    assert 2 < len(patterns) <= 2**5
    state = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    assert not unit_signs(network, x, state).any(), "the parameters are replaced"
    found = Swap(repeats=3)(network, random_batch(12), generator())
    assert 2 < found < 2**12 and found != Swap(repeats=1)(network, random_batch(12), generator())
    size = sum(p.numel() for p in network.parameters()) / 1000
    regularized = Swap(repeats=3, mu=size - 1, sigma=2.0)(network, random_batch(12), generator())
    assert regularized == pytest.approx(found * math.exp(-0.5), rel=1e-9)


def test_units_of_relu6_count_and_a_network_without_units_is_refused() -> None:
    x = random_batch(5)[0]
    conv = nn.Conv2d(x.shape[1], 4, 3, bias=False).to(x.dtype)
    rectified = [unit_signs(nn.Sequential(conv, relu, nn.Flatten()), x) for relu in (nn.ReLU(), nn.ReLU6())]
    assert torch.equal(*rectified)
    with pytest.raises(ValueError, match="ReLUs on feature maps"):
        unit_signs(nn.Sequential(conv, nn.GELU(), nn.Flatten()), x)


@pytest.mark.parametrize("images", [2, 9, 20, 21])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_table_of_patterns_equals_the_comparison_of_columns(images: int, layout: torch.memory_format) -> None:
    network, x = small_network(), random_batch(images)[0].contiguous(memory_format=layout)
    signs = unit_signs(network, x)
    assert count_patterns(network, x) == count_distinct_rows(signs.T) == len({tuple(c) for c in signs.T.tolist()})


def test_table_of_patterns_does_not_depend_on_the_default_type() -> None:
    network, x = small_network(), random_batch(4)[0]
    expected, default = count_patterns(network, x), torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if default == torch.float32 else torch.float32)
    try:
        assert count_patterns(network, x) == expected
    finally:
        torch.set_default_dtype(default)


def test_inactive_and_undefined_units_are_zeros_of_a_pattern() -> None:
    """The parameters of the first batch norm make its units inactive or NaN."""
    network, (x, _) = small_network(), random_batch(4)
    name = next(n for n, m in network.named_modules() if isinstance(m, torch.nn.BatchNorm2d))
    weight = network.get_parameter(f"{name}.weight")
    state = {f"{name}.weight": torch.full_like(weight, float("nan"))}
    assert count_patterns(network, x, state) == count_distinct_rows(unit_signs(network, x, state).T) == 1
