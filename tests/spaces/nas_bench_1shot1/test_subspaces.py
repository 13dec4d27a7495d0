"""Numbers of architectures of NAS-Bench-1Shot1 against the published ones and exhaustive isomorphism tests."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from nas.spaces.nas_bench_1shot1.space import NasBench1Shot1
from nas.spaces.nas_bench_1shot1.subspaces import PARENTS, build_graph, distinct_hashes, parent_choices
from nas.spaces.nas_bench_101.graph import MAX_EDGES, OPS, find_problem, graph_hash, prune
from tests.spaces.nas_bench_101.test_graph import canonical

PUBLISHED = {1: 6_240, 2: 29_160, 3: 363_648}
"""Architectures with loose ends in the paper."""
CHOICES = {1: 180, 2: 360, 3: 5_400}
"""Choices of parents, from the binomial coefficients."""


@pytest.mark.parametrize("subspace", [1, 2, 3])
def test_numbers_of_architectures_are_the_published_ones(subspace: int) -> None:
    """The paper counts ops of vertices without children once in subspaces 1 and 3, and all ops in subspace 2."""
    inner = len(PARENTS[subspace]) - 1
    found = list(parent_choices(subspace))
    assert len(set(found)) == len(found) == CHOICES[subspace]
    every = len(found) * 3**inner
    with_children = sum(3 ** len({s for parents in choice for s in parents} - {0}) for choice in found)
    assert PUBLISHED[subspace] == (every if subspace == 2 else with_children)
    assert every == {1: 14_580, 2: 29_160, 3: 1_312_200}[subspace]


@pytest.mark.parametrize("subspace", [1, 2, 3])
def test_cells_are_in_nas_bench_101(subspace: int) -> None:
    for parents in parent_choices(subspace):
        graph = build_graph(parents, OPS[:1] * (len(parents) - 1))
        assert find_problem(graph) is None and graph.edges == sum(PARENTS[subspace]) <= MAX_EDGES


@pytest.mark.parametrize("subspace", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_hashes_are_those_of_all_cells(subspace: int) -> None:
    """Enumerate all choices, and compare with classes of isomorphic graphs that no hash defines."""
    cells = set()
    for parents in parent_choices(subspace):
        for ops in itertools.product(OPS, repeat=len(parents) - 1):
            pruned = prune(build_graph(parents, ops))
            assert pruned is not None
            cells.add(pruned)
    hashes, classes = set(map(graph_hash, cells)), set(map(canonical, cells))
    assert hashes == set(distinct_hashes(subspace)) and len(hashes) == len(classes)


@pytest.mark.parametrize(
    ("subspace", "count"), [(1, 2_685), (2, 7_773), pytest.param(3, 55_854, marks=pytest.mark.slow)]
)
def test_number_of_different_cells(subspace: int, count: int) -> None:
    found = distinct_hashes(subspace)
    assert len(found) == len(set(found)) == count


def test_tables_have_one_row_per_parent_and_op() -> None:
    for subspace, parents in PARENTS.items():
        space = NasBench1Shot1((3, 8, 8), 10, subspace)
        assert [cell.inputs for cell in space.cells.values()] == list(parents)
        choices = Counter(
            (len(cell.choices(e)), target in cell.output)
            for cell in space.cells.values()
            for e, (_, target) in enumerate(cell.edges)
        )
        inner = len(parents) - 1
        assert choices == {(1, False): inner * (inner + 1) // 2, (3, True): inner, (1, True): inner + 1}
