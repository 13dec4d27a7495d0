"""Regularized evolution: population and tournament."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from scipy import stats

from nas.architecture.cell import Genotype
from nas.blackbox.strategies.regularized_evolution import RegularizedEvolution
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.query_tools import distance, value_of

NB201 = NasBench201((3, 32, 32), 10)


def test_evolution_drops_oldest_and_mutates_a_member() -> None:
    rng = random.Random(0)
    strategy = RegularizedEvolution(NB201, population=10, sample=3)
    evaluated: list[Genotype] = []
    for _ in range(300):
        child = strategy.ask(rng)
        assert len(evaluated) < 10 or min(distance(member, child) for member in evaluated[-10:]) <= 1
        evaluated.append(child)
        strategy.tell(child, value_of(child))
        assert [g for g, _ in strategy.population] == evaluated[-10:]


def test_evolution_selects_parent_by_tournament() -> None:
    rng = random.Random(1)
    strategy = RegularizedEvolution(NB201, population=10, sample=3)
    ops = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    members = [NB201.parse(f"|{a}~0|+|{a}~0|{a}~1|+|{b}~0|{b}~1|{b}~2|") for a in ops for b in ops if a != b]
    members = [m for i, m in enumerate(members) if all(distance(m, o) > 2 for o in members[:i])][:10]
    assert len(members) == 10
    for rank, member in enumerate(members):
        strategy.ask(rng)
        strategy.tell(member, -rank)
    counts = Counter(
        next(i for i, member in enumerate(members) if distance(member, child) == 1)
        for child in (strategy.ask(rng) for _ in range(5000))
    )
    expected = [5 * ((10 - r) ** 3 - (9 - r) ** 3) for r in range(10)]
    assert stats.chisquare([counts[r] for r in range(10)], expected).pvalue > 1e-4


@pytest.mark.parametrize("options", [{"population": 0}, {"sample": 0}], ids=["population", "sample"])
def test_evolution_refuses_options_out_of_range(options: dict[str, int]) -> None:
    with pytest.raises(NasError, match="=0: use a whole number from 1"):
        RegularizedEvolution(NB201, **options)  # type: ignore[arg-type]
