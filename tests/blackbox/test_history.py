"""Runs of strategies: budgets, repeats, what counts as best, and going on where a run stood."""

from __future__ import annotations

import math
import random

import pytest

from nas.architecture.cell import Genotype
from nas.blackbox.evaluator import Evaluation
from nas.blackbox.history import Budget, Queries
from nas.blackbox.strategies.base import Strategy
from nas.blackbox.strategies.local_search import LocalSearch
from nas.blackbox.strategies.random_search import RandomSearch
from nas.blackbox.strategies.regularized_evolution import RegularizedEvolution
from nas.blackbox.strategies.reinforce import Reinforce
from nas.spaces.base import Space
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.query_tools import darts, sampled, value_of

NB201 = NasBench201((3, 32, 32), 10)


class Listed(Strategy):
    """Asks for given genotypes in turn and remembers what it was told."""

    def __init__(self, space: Space, genotypes: list[Genotype]) -> None:
        super().__init__(space)
        self.genotypes = genotypes
        self.told: list[tuple[Genotype, float]] = []

    def ask(self, rng: random.Random) -> Genotype:
        return self.genotypes[len(self.told) % len(self.genotypes)]

    def tell(self, genotype: Genotype, value: float) -> None:
        self.told.append((genotype, value))


def run_of(budget: Budget, costs: list[float], values: list[float], cached: bool = False) -> tuple[Queries, Listed]:
    genotypes = list(dict.fromkeys(sampled(NB201, 50)))[: len(costs)]
    strategy = Listed(NB201, genotypes)
    table = {g: Evaluation(v, c) for g, v, c in zip(genotypes, values, costs, strict=True)}
    queries = Queries(strategy, budget, random.Random(0), cached)
    while queries.step(table.__getitem__):
        pass
    return queries, strategy


def test_a_query_that_exceeds_the_seconds_is_discarded_and_ends_the_run() -> None:
    queries, strategy = run_of(Budget(seconds=10), [4, 6, 1], [1, 2, 9])
    assert ([q.seconds for q in queries.history], queries.spent, queries.ended) == ([4, 6], 10, "seconds")
    assert len(strategy.told) == 2 and queries.best == queries.history[1]
    queries, _ = run_of(Budget(seconds=9.99), [4, 6, 1], [1, 2, 9])
    assert [q.seconds for q in queries.history] == [4], "though the third alone would fit"
    queries, _ = run_of(Budget(queries=2, seconds=100), [4, 6, 1], [1, 2, 9])
    assert (len(queries.history), queries.ended) == (2, "queries")
    with pytest.raises(NasError, match="the first query alone takes 4 s"):
        run_of(Budget(seconds=3), [4], [1])


def test_repeats_cost_again_unless_cached() -> None:
    queries, _ = run_of(Budget(queries=7), [1, 2, 3], [1, 2, 3])
    assert queries.spent == 1 + 2 + 3 + 1 + 2 + 3 + 1 and queries.ended == "queries"
    queries, strategy = run_of(Budget(queries=7), [1, 2, 3], [1, 2, 3], cached=True)
    assert (queries.spent, len(queries.history), queries.ended) == (6, 3, "repeats")
    assert [v for _, v in strategy.told[:7]] == [1, 2, 3, 1, 2, 3, 1] and len(strategy.told) == 3 + 1000


def test_the_best_is_the_first_of_equals_and_no_number_ranks_last() -> None:
    values = [math.nan, -math.inf, 3, math.inf, 5, 5, 4]
    queries, strategy = run_of(Budget(queries=7), [1] * 7, values)
    assert queries.incumbents == [0, 2, 4] and queries.best == queries.history[4]
    assert [v for _, v in strategy.told] == [-math.inf, -math.inf, 3, -math.inf, 5, 5, 4]


@pytest.mark.parametrize("kind", [RandomSearch, RegularizedEvolution, LocalSearch, Reinforce])
def test_strategies_go_on_where_no_value_is_a_number(kind: type[Strategy]) -> None:
    queries = Queries(kind(NB201), Budget(queries=60), random.Random(0))
    while queries.step(lambda genotype: Evaluation(math.nan, 1.0)):
        pass
    assert len(queries.history) == 60 and queries.incumbents == [0]


@pytest.mark.parametrize(
    "options", [{"queries": 0}, {"queries": -1}, {"seconds": 0.0}, {"seconds": -5.0}, {"seconds": math.inf}]
)
def test_budgets_that_allow_nothing_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(NasError, match=f"budget.{next(iter(options))}="):
        Budget(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [RandomSearch, RegularizedEvolution, LocalSearch, Reinforce])
@pytest.mark.parametrize("name", ["nas_bench_201", "darts_s1"])
def test_a_replayed_run_goes_on_as_it_would_have(kind: type[Strategy], name: str) -> None:
    space = NB201 if name == "nas_bench_201" else darts(name)

    def evaluate(genotype: Genotype) -> Evaluation:
        return Evaluation(value_of(genotype), 1.0)

    whole = Queries(kind(space), Budget(queries=60), random.Random(7))
    part = Queries(kind(space), Budget(queries=25), random.Random(7))
    for queries in (whole, part):
        while queries.step(evaluate):
            pass
    again = Queries(kind(space), Budget(queries=60), random.Random(7))
    again.replay(part.history)
    while again.step(evaluate):
        pass
    assert again.history == whole.history and again.incumbents == whole.incumbents and again.ended == "queries"
    other = Queries(kind(space), Budget(queries=60), random.Random(8))
    with pytest.raises(NasError, match="is not what this strategy asks for"):
        other.replay(part.history)
