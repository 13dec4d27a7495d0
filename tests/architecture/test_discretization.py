"""Tests of discretization: the rule of DARTS, and that of P-DARTS with a limited number of skip connections."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from nas.architecture.cell import Cell, CellGenotype, Link
from nas.architecture.discretization import discretize, discretize_all_edges, discretize_with_max_skips
from nas.nn.edges.skip_dropout import DroppedSkip
from nas.relaxations.base import Discretization
from nas.spaces.darts.notation import DARTS_OPS, EDGES, NODES
from nas.spaces.darts.space import Darts
from tests.callbacks.schedules.test_stages import tiny

OPS = ("none", "skip_connect", "conv", "pool")


CELL = Cell(EDGES, OPS, NODES, inputs=2)


def count_skips(cell: CellGenotype) -> int:
    return sum(link.op == "skip_connect" for link in cell.links)


@pytest.mark.parametrize("seed", range(20))
def test_discretize_with_max_skips_follows_the_definition_of_the_paper(seed: int) -> None:
    """Repeat the steps of the paper: each removes the weakest chosen skip from the table."""
    scores = torch.rand(14, 4, generator=torch.Generator().manual_seed(seed))
    scores[:, 1] += 0.3
    free = discretize(CELL, scores)
    assert discretize_with_max_skips(CELL, scores, max_skips=8) == free
    left, found = scores.clone(), free
    for most in reversed(range(8)):
        while count_skips(found) > most:
            rows = [EDGES.index((s, t)) for op, s, t in found.links if op == "skip_connect"]
            left[min(rows, key=lambda row: float(left[row, 1])), 1] = 0.0
            found = discretize(CELL, left)
        assert discretize_with_max_skips(CELL, scores, max_skips=most) == found and count_skips(found) <= most
    assert count_skips(free) > 2 and count_skips(found) == 0


def test_discretize_with_max_skips_with_skips_only() -> None:
    cell = Cell(EDGES, OPS, NODES, 2, excluded=frozenset((e, op) for e in range(14) for op in ("conv", "pool")))
    found = discretize_with_max_skips(cell, torch.rand(14, 4), max_skips=2)
    assert len(found.links) == 8 and count_skips(found) == 8, "no other candidate exists"


def test_discretize_with_max_skips_applies_to_the_normal_cell_only() -> None:
    space = Darts((3, 8, 8), 10, channels=4, layers=3)
    search = tiny(DroppedSkip, space=space, discretization={"normal": partial(discretize_with_max_skips, max_skips=2)})
    for alpha in search.relaxation.alpha.values():
        alpha.data[:, space.cells["normal"].ops.index("skip_connect")] = 1.0
    found = search.genotype().cells
    assert (count_skips(found["normal"]), count_skips(found["reduce"])) == (2, 8)


@pytest.mark.parametrize("repeats", [False, True])
def test_discretize_chooses_the_strongest_links(repeats: bool) -> None:
    """The chosen pair of links of a node has the highest sum of scores."""
    torch.manual_seed(0)
    cell = Darts((3, 8, 8), 3, repeats=repeats).cells["normal"]
    for _ in range(10):
        scores = torch.rand(14, 8)
        chosen = discretize(cell, scores).links
        for node in NODES:
            rows = [e for e, (_, target) in enumerate(EDGES) if target == node]
            links = [(float(scores[e, o]), DARTS_OPS[o], EDGES[e][0]) for e in rows for o in range(1, 8)]
            pairs = [(a, b) for a in links for b in links if a > b and (repeats or a[2] != b[2])]
            best = max(pairs, key=lambda pair: pair[0][0] + pair[1][0])
            assert [link[:2] for link in chosen if link.target == node] == [link[1:] for link in best]


@pytest.mark.parametrize("edge_scores", [None, torch.ones(14)])
def test_discretize_breaks_ties_by_row_and_column(edge_scores: torch.Tensor | None) -> None:
    """Equal scores select the first two edges of each node and the first op that a genotype may have."""
    links = discretize(CELL, torch.full((14, 4), 0.25), edge_scores).links
    assert links == tuple(("skip_connect", source, node) for node in NODES for source in (0, 1))


def test_discretize_sorts_edges_by_strength_and_equal_ones_by_row() -> None:
    scores = torch.full((14, 4), 0.25)
    into_last = [e for e, (_, target) in enumerate(EDGES) if target == 5]
    scores[into_last[3], 2], scores[into_last[4], 2] = 0.5, 0.5
    assert discretize(CELL, scores).links[-2:] == (("conv", 3, 5), ("conv", 4, 5))
    scores[into_last[1], 3] = 0.6
    assert discretize(CELL, scores).links[-2:] == (("pool", 1, 5), ("conv", 3, 5))


@pytest.mark.parametrize("rule", [discretize, discretize_all_edges])
def test_nodes_of_fixed_inputs_keep_the_strongest_edges_in_the_order_of_the_table(rule: Discretization) -> None:
    cell = Cell(((0, 3), (1, 3), (2, 3), (3, 4)), ("connect", "conv"), (4,), 2, fixed_inputs=True)
    scores = torch.tensor([[0.2, 0.1], [0.1, 0.1], [0.9, 0.3], [0.1, 0.7]])
    found = rule(cell, scores, None)
    assert found.links == (Link("connect", 0, 3), Link("connect", 2, 3), Link("conv", 3, 4))
