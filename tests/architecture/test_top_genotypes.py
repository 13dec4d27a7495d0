"""Tests of the search for the genotypes with the highest sum of scores."""

from __future__ import annotations

import itertools
import random

import torch
from torch import Tensor

from nas.architecture.cell import Cell, Link
from nas.architecture.top_genotypes import best_sums, top_genotypes
from nas.spaces.nas_bench_201.notation import CELL, from_index

NESTED = Cell(
    ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3)),
    ("none", "a", "b"),
    (2, 3),
    inputs=2,
    excluded=frozenset({(0, "a"), (3, "none"), (4, "b")}),
)


def every(cell: Cell) -> list[tuple[Link, ...]]:
    """Return all genotypes of a cell that keeps two links per node."""
    nodes = []
    for node in cell.nodes:
        found = []
        for rows in itertools.combinations(cell.into(node), 2):
            for ops in itertools.product(*(cell.choices(e) for e in rows)):
                found.append(tuple(Link(op, *cell.edges[e]) for e, op in zip(rows, ops, strict=True)))
        nodes.append(found)
    return [tuple(itertools.chain(*links)) for links in itertools.product(*nodes)]


def worth(cell: Cell, scores: Tensor, links: tuple[Link, ...]) -> float:
    return float(sum(scores[cell.edges.index((s, t)), cell.ops.index(op)] for op, s, t in links))


def test_top_genotypes_of_nas_bench_201_by_brute_force() -> None:
    scores = torch.randn(6, 5, dtype=torch.float64).log_softmax(-1)
    ranked = sorted((from_index(i).cells["cell"] for i in range(15625)), key=lambda c: -worth(CELL, scores, c.links))
    assert [found["cell"] for found in top_genotypes({"cell": CELL}, {"cell": scores}, 100)] == ranked[:100]


def test_top_genotypes_of_nested_cells_by_brute_force() -> None:
    cells = {"normal": NESTED, "reduce": NESTED}
    scores = {name: torch.randn(5, 3, dtype=torch.float64).log_softmax(-1) for name in cells}
    pairs = itertools.product(every(NESTED), every(NESTED))
    ranked = sorted(pairs, key=lambda pair: -sum(worth(NESTED, scores[n], p) for n, p in zip(cells, pair, strict=True)))
    found = top_genotypes(cells, scores, 10_000)
    assert len(found) == len(ranked) == len(every(NESTED)) ** 2
    assert [(f["normal"].links, f["reduce"].links) for f in found] == ranked


def test_best_sums_decrease_without_repetition() -> None:
    groups = [sorted(random.Random(i).sample(range(10), 4), reverse=True) for i in range(4)]
    found = list(best_sums(groups))
    sums = [sum(g[i] for g, i in zip(groups, choice, strict=True)) for choice in found]
    assert len(set(found)) == 4**4 and sums == sorted(sums, reverse=True)
