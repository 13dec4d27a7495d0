"""Mutations against enumeration and their distributions."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from scipy import stats

from nas.architecture.cell import Genotype
from nas.blackbox.mutations import mutate, neighbors
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.query_tools import CHAIN, CHOOSING, SmallSpace, all_genotypes, darts, distance, sampled

NB201 = NasBench201((3, 32, 32), 10)

SPACES = ["darts", "darts_s1", "darts_s2", "darts_s3", "darts_s4"]


def is_uniform(counts: Counter[Genotype], choices: int) -> bool:
    """Return whether counts are plausible for a uniform distribution over ``choices``."""
    found = list(counts.values()) + [0] * (choices - len(counts))
    return bool(stats.chisquare(found).pvalue > 1e-4)


def edges_of(genotype: Genotype) -> frozenset[tuple[int, int]]:
    """Return the edges of a genotype with one cell."""
    return frozenset((link.source, link.target) for link in genotype.cells["cell"].links)


@pytest.mark.parametrize("cell", [CHAIN, CHOOSING], ids=["all_edges", "selected_edges"])
def test_neighbors_differ_by_one_link(cell: object) -> None:
    space = SmallSpace(cell)  # type: ignore[arg-type]
    everything = all_genotypes(space)
    for genotype in sampled(space, 20):
        found = list(neighbors(space, genotype))
        assert len(found) == len(set(found)) and set(found) <= everything
        near = {other for other in everything if distance(genotype, other) == 1}
        # A moved link keeps its op if possible; another op on the new edge would be a second change.
        assert set(found) <= near
        assert {other for other in near if edges_of(other) == edges_of(genotype)} <= set(found)
        assert {edges_of(other) for other in near} <= {edges_of(other) for other in found} | {edges_of(genotype)}


def test_mutate_is_uniform_over_edges_and_ops() -> None:
    rng = random.Random(0)
    genotype = next(sampled(NB201, 1))
    counts = Counter(mutate(NB201, genotype, rng) for _ in range(6000))
    assert set(counts) == set(neighbors(NB201, genotype)) and len(counts) == 6 * 4
    assert is_uniform(counts, 24)


def test_mutate_by_node_samples_node_first() -> None:
    rng = random.Random(0)
    genotype = next(sampled(NB201, 1))
    changed: Counter[tuple[int, int]] = Counter()
    for _ in range(9000):
        child = mutate(NB201, genotype, rng, by_node=True)
        (link,) = set(child.cells["cell"].links) - set(genotype.cells["cell"].links)
        changed[link.source, link.target] += 1
    expected = [9000 / 3 / target for _, target in sorted(changed)]
    assert stats.chisquare([changed[edge] for edge in sorted(changed)], expected).pvalue > 1e-4


@pytest.mark.parametrize("name", SPACES)
def test_mutate_stays_in_space_and_changes_edges_and_ops(name: str) -> None:
    space, rng = darts(name), random.Random(0)
    kinds: Counter[str] = Counter()
    genotype = space.sample(rng)
    for step in range(300):
        child = mutate(space, genotype, rng)
        space.check(child)
        assert distance(genotype, child) == 1
        assert step % 30 or child in set(neighbors(space, genotype))
        for name_of_cell, chosen in child.cells.items():
            cell = space.cells[name_of_cell]
            assert all(sum(link.target == node for link in chosen.links) == cell.inputs for node in cell.nodes)
            taken = [{link[1:] for link in one.cells[name_of_cell].links} for one in (genotype, child)]
            kinds["edge" if taken[0] != taken[1] else "op" if chosen != genotype.cells[name_of_cell] else "none"] += 1
        genotype = child
    assert kinds["edge"] > 60 and kinds["op"] > 60


def test_mutate_refuses_space_of_one_genotype() -> None:
    space = SmallSpace(CHAIN.masked([[False, True, False, False]] * 3))
    with pytest.raises(NasError, match="is its only genotype"):
        mutate(space, next(sampled(space, 1)), random.Random(0))
