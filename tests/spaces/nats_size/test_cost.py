"""Tests of the closed-form cost of NATS-Bench's size space."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.nn.macs import count_macs, count_parameters
from nas.spaces.base import Shape
from nas.spaces.nats_size.cost import nats_size_cost
from nas.spaces.nats_size.notation import from_widths, parse
from nas.spaces.nats_size.space import NatsSize

CIFAR = (3, 32, 32)
PUBLISHED: list[tuple[str, int, Shape, float, float]] = [  # multiply-adds and parameters in millions
    ("8:8:8:8:8", 10, CIFAR, 4.481114, 0.011714),
    ("8:8:8:8:8", 100, CIFAR, 4.481924, 0.012524),
    ("8:8:8:8:8", 120, (3, 16, 16), 1.121336, 0.012704),
    ("16:16:16:16:16", 10, CIFAR, 17.481898, 0.045562),
    ("8:8:8:16:32", 10, CIFAR, 6.84065, 0.049202),
    ("8:8:40:32:40", 10, CIFAR, 21.827994, 0.144834),
    ("16:16:32:32:64", 10, CIFAR, 33.866378, 0.225466),
    ("64:64:64:64:64", 10, CIFAR, 274.399882, 0.713674),
]


@pytest.mark.parametrize(("text", "classes", "shape", "million_macs", "million_parameters"), PUBLISHED)
def test_nats_size_cost_equals_the_published_figures(
    text: str, classes: int, shape: Shape, million_macs: float, million_parameters: float
) -> None:
    expected = round(1e6 * million_parameters), round(1e6 * million_macs)
    genotype = parse(text)
    assert nats_size_cost(genotype, shape, classes) == expected
    network = NatsSize(shape, classes).network(genotype)
    assert (count_parameters(network), count_macs(network, shape, bias=True)) == expected


@settings(deadline=None, max_examples=15)
@given(widths=st.lists(st.integers(1, 9), min_size=5, max_size=5), side=st.integers(4, 9), planes=st.integers(1, 4))
def test_nats_size_cost_equals_the_count_of_the_network(widths: list[int], side: int, planes: int) -> None:
    shape = (planes, side, side + 1)
    network = NatsSize(shape, 7).network(from_widths(widths))
    assert nats_size_cost(from_widths(widths), shape, 7) == (
        count_parameters(network),
        count_macs(network, shape, bias=True),
    )
