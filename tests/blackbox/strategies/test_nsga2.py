"""NSGA-II: fronts, order of results, failed evaluations, limits."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

import numpy as np
import pytest

from nas.architecture.cell import Genotype
from nas.blackbox.ask_tell import AskTellLoop, Budget
from nas.blackbox.evaluator import QueryResult
from nas.blackbox.pareto.cost_sources import CostSources
from nas.blackbox.pareto.front import hypervolume
from nas.blackbox.pareto.objectives import Objectives
from nas.blackbox.strategies.base import Strategy
from nas.blackbox.strategies.nsga2 import Nsga2
from nas.blackbox.strategies.random_search import RandomSearch
from nas.spaces.limits import Limit, Limits
from nas.spaces.network_cost import network_costs
from nas.utils.errors import NasError
from tests.support.query_tools import SMALL_SPACE

pytest.importorskip("optuna")
OBJECTIVES = Objectives(SMALL_SPACE, ["value", "macs"], CostSources({"channels": 4, "cells_per_stage": 1}))

REFERENCE = [0.0, 201_642.0]
"""Worst value and largest multiply-adds of the space."""


def quality(genotype: Genotype) -> float:
    """Return a value for which a good trade-off needs convolutions on some edges and skips on others."""
    gain = {"nor_conv_3x3": 3.0, "nor_conv_1x1": 2.0, "skip_connect": 1.0, "avg_pool_3x3": 0.5, "none": 0.0}
    links = genotype.cells["cell"].links
    return sum(gain[link.op] * (link.target + 1) / (link.source + 1) for link in links)


def nsga2(**options: float) -> Nsga2:
    strategy = Nsga2(SMALL_SPACE, **options)  # type: ignore[arg-type]
    strategy.objectives = OBJECTIVES
    return strategy


def run(strategy: Strategy, queries: int, seed: int, value: Callable[[Genotype], float] = quality) -> AskTellLoop:
    loop = AskTellLoop(strategy, Budget(queries), random.Random(seed), cached=True)
    while loop.step(lambda genotype: QueryResult(value(genotype), 1.0)):
        pass
    return loop


def volume(loop: AskTellLoop) -> float:
    losses = [OBJECTIVES.losses(query.genotype, query.value) for query in loop.history]
    return hypervolume(np.array([row for row in losses if row is not None]), REFERENCE)


def test_front_is_better_than_that_of_random_search() -> None:
    found = [volume(run(nsga2(population=10), 250, seed)) for seed in range(3)]
    by_chance = [volume(run(RandomSearch(SMALL_SPACE), 250, seed)) for seed in range(3)]
    assert np.mean(found) > 1.03 * np.mean(by_chance)


def test_first_generation_is_uniform_and_seeds_differ() -> None:
    loops = [run(nsga2(population=200), 150, seed) for seed in (0, 0, 1)]
    genotypes = [[query.genotype for query in loop.history] for loop in loops]
    assert genotypes[0] == genotypes[1] != genotypes[2]
    ops = [link.op for genotype in genotypes[0] for link in genotype.cells["cell"].links]
    counts = np.array([ops.count(op) for op in sorted(set(ops))])
    assert len(counts) == 5 and abs(counts - 180).max() < 4 * np.sqrt(900 * 0.2 * 0.8)


def run_three_at_once(queries: int) -> AskTellLoop:
    """Evaluate three genotypes at the same time; the second one that was asked for arrives first."""
    loop = AskTellLoop(nsga2(population=8), Budget(60), random.Random(3), cached=True)
    while len(loop.history) < queries:
        while len(loop.pending) < 3 and loop.ask() is not None:
            pass
        position = sorted(loop.pending)[len(loop.pending) // 2]
        loop.tell(position, QueryResult(quality(loop.pending[position].genotype), 1.0))
    return loop


def test_results_in_another_order_are_replayed() -> None:
    loop = run_three_at_once(40)
    assert any(query.order is not None for query in loop.history)
    strategy = loop.strategy
    assert isinstance(strategy, Nsga2)
    for trial in strategy._study.trials:
        if trial.values is not None:
            choices = list(trial.params.values())
            genotype = strategy.encoding.decode(choices.__getitem__)
            assert tuple(trial.values) == OBJECTIVES.losses(genotype, quality(genotype))
    again = AskTellLoop(nsga2(population=8), Budget(60), random.Random(3), cached=True)
    again.replay(loop.history, loop.asked)
    assert again.history == loop.history and again.pending == loop.pending
    assert [again.ask() for _ in range(5)] == [loop.ask() for _ in range(5)]


def test_failed_evaluations_are_no_parents() -> None:
    """Genotypes without a convolution fail, so that later generations contain them rarely."""

    def value(genotype: Genotype) -> float:
        convs = sum("conv" in link.op for link in genotype.cells["cell"].links)
        return float("nan") if convs < 3 else quality(genotype)

    history = run(nsga2(population=10, mutation_probability=0.0), 80, 0, value).history
    failed = [not np.isfinite(query.value) for query in history]
    assert sum(failed[:20]) > sum(failed[-20:]) and any(failed)


def test_genotypes_are_within_limits() -> None:
    _, macs = network_costs(SMALL_SPACE, channels=4, cells_per_stage=1)
    costs = sorted(macs(SMALL_SPACE.from_index(index)) for index in range(0, 15_625, 97))
    strategy = nsga2(population=10)
    strategy.limits = Limits(SMALL_SPACE, [Limit(macs, costs[len(costs) // 3])])
    history = run(strategy, 40, 0).history
    assert len(history) == 40 and all(macs(query.genotype) <= costs[len(costs) // 3] for query in history)


def test_missing_optuna_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        NasError, match=r"method=nsga2: Optuna is not installed\. Run pip install 'nas-compose\[pareto\]'"
    ):
        Nsga2(SMALL_SPACE)
