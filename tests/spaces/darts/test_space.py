"""Tests of the DARTS space and its sub-spaces, such as S1."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from nas.architecture.discretization import discretize
from nas.architecture.masks import Masks
from nas.relaxations.softmax import Softmax
from nas.spaces.darts.network import DartsCell, DartsNetwork
from nas.spaces.darts.notation import DARTS_OPS, EDGES
from nas.spaces.darts.space import Darts
from nas.utils.errors import NasError
from tests.support.space_tools import same_op_everywhere

TWO = [["skip_connect", "dil_conv_3x3"], ["max_pool_3x3", "avg_pool_3x3"]] * 7


def test_excluded_ops_are_neither_built_nor_chosen() -> None:
    space = Darts((3, 8, 8), 3, channels=2, layers=3, edge_ops={"normal": TWO, "reduce": TWO[::-1]})
    network, rng = space.supernet(), random.Random(0)
    assert isinstance(network, DartsNetwork)
    for kind, cell in zip(network.kinds, network.cells, strict=True):
        table = TWO if kind == "normal" else TWO[::-1]
        assert isinstance(cell, DartsCell)
        assert [set(edge) for edge in cell.graph.edges.values()] == [set(row) for row in table]
    everywhere = {name: torch.randn(14, 8) for name in space.cells}
    for name, cell in space.cells.items():
        table = TWO if name == "normal" else TWO[::-1]
        sampled = [link for _ in range(50) for link in space.sample(rng).cells[name].links]
        scored = [link for _ in range(50) for link in discretize(cell, torch.randn(14, 8)).links]
        for links in (sampled, scored):
            assert all(op in table[EDGES.index((source, target))] for op, source, target in links)
            assert {link.op for link in links} == {op for row in TWO for op in row}
        # An excluded op is not chosen even with the highest score.
        everywhere[name][:, DARTS_OPS.index("sep_conv_5x5")] = 99.0
        assert all(link.op != "sep_conv_5x5" for link in discretize(cell, everywhere[name]).links)
    weights = Softmax(space.cells).sample(Masks(space.cells))
    network(torch.randn(2, 3, 8, 8), weights).sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    with pytest.raises(NasError, match="'sep_conv_3x3' is not a choice on edge 0->2"):
        space.network(same_op_everywhere(space, "sep_conv_3x3"))


@pytest.mark.parametrize(
    "table",
    [{"normal": TWO}, {"normal": TWO, "reduce": TWO[1:]}, {"normal": TWO, "reduce": [[], *TWO[1:]]}]
    + [{"normal": TWO, "reduce": [["sep_conv_9x9"], *TWO[1:]]}],
)
def test_malformed_edge_ops_raise(table: Any) -> None:
    with pytest.raises(NasError, match="space.edge_ops.reduce: .* for each of 14 edges"):
        Darts((3, 8, 8), 3, edge_ops=table)


def test_unknown_op_raises() -> None:
    with pytest.raises(NasError, match="unknown op 'sep_conv_9x9'"):
        Darts((3, 8, 8), 3, ops=["none", "sep_conv_9x9"])
