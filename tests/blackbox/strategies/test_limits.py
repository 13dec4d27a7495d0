"""Limits on costs in all black-box strategies."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from nas.blackbox.predictors.boosted_trees import BoostedTrees
from nas.blackbox.strategies.base import Strategy
from nas.blackbox.strategies.bohb import Bohb
from nas.blackbox.strategies.constrained_evolution import ConstrainedEvolution
from nas.blackbox.strategies.local_search import LocalSearch
from nas.blackbox.strategies.predictor_guided import PredictorGuided
from nas.blackbox.strategies.random_search import RandomSearch
from nas.blackbox.strategies.regularized_evolution import RegularizedEvolution
from nas.blackbox.strategies.reinforce import ReinforceStrategy
from nas.spaces.base import Space
from nas.spaces.limits import Limit, Limits
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.network_cost import network_costs
from nas.utils.errors import NasError
from tests.support.query_tools import value_of

SPACE = NasBench201((3, 16, 16), 10)
_, MACS = network_costs(SPACE)
STRATEGIES = [
    RandomSearch,
    LocalSearch,
    RegularizedEvolution,
    ReinforceStrategy,
    Bohb,
    lambda space: PredictorGuided(space, BoostedTrees, initial=10, batch=10, candidates=30),
    lambda space: ConstrainedEvolution(space, population=10, parents=4, mutations=5, crossovers=5),
]
IDS = ["random_search", "local_search", "regularized_evolution", "reinforce", "bohb", "bananas", "evolution"]


@pytest.mark.parametrize("build", STRATEGIES, ids=IDS)
def test_every_genotype_is_within_the_limits(build: Callable[[Space], Strategy]) -> None:
    strategy, rng = build(SPACE), random.Random(0)
    strategy.limits = Limits(SPACE, [Limit(MACS, 12e6)])
    found = []
    for _ in range(80):
        genotype = strategy.ask(rng)
        assert genotype is not None
        found.append(genotype)
        strategy.tell(genotype, value_of(genotype) + MACS(genotype) / 1e7)
    assert max(map(MACS, found)) <= 12e6
    assert len(set(found)) > 20


@pytest.mark.parametrize("build", STRATEGIES, ids=IDS)
def test_strategies_without_limits_are_unchanged(build: Callable[[Space], Strategy]) -> None:
    free, loose = build(SPACE), build(SPACE)
    loose.limits = Limits(SPACE, [Limit(MACS, 1e12)])
    for strategy, rng in ((free, random.Random(1)), (loose, random.Random(1))):
        strategy.found = []  # type: ignore[attr-defined]
        for _ in range(30):
            genotype = strategy.ask(rng)
            assert genotype is not None
            strategy.found.append(genotype)  # type: ignore[attr-defined]
            strategy.tell(genotype, value_of(genotype))
    assert free.found == loose.found  # type: ignore[attr-defined]


@pytest.mark.parametrize("build", STRATEGIES, ids=IDS)
def test_a_search_that_finds_nothing_ends_with_one_line(
    build: Callable[[Space], Strategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = build(SPACE)
    strategy.limits = Limits(SPACE, [Limit(MACS, 12e6)])
    monkeypatch.setattr(strategy.limits, "allows", lambda genotype: False)
    with pytest.raises(NasError, match=r"^budget.macs=1.2e\+07: 10000 sampled genotypes .* lowest cost is"):
        strategy.ask(random.Random(0))
