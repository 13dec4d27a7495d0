"""Ask-and-tell loops: budgets, repeats, incumbents, fidelities, and replay of a history."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from nas.architecture.cell import Genotype
from nas.blackbox.ask_tell import AskTellLoop, Budget
from nas.blackbox.evaluator import QueryResult
from nas.blackbox.strategies.base import Strategy
from nas.blackbox.strategies.bohb import Bohb
from nas.blackbox.strategies.local_search import LocalSearch
from nas.blackbox.strategies.random_search import RandomSearch
from nas.blackbox.strategies.regularized_evolution import RegularizedEvolution
from nas.blackbox.strategies.reinforce import ReinforceStrategy
from nas.spaces.base import Space
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.query_tools import CHAIN, SmallSpace, darts, sampled, value_of

NB201 = NasBench201((3, 32, 32), 10)


class GivenGenotypes(Strategy):
    """Strategy that asks for given genotypes in turn and records the values."""

    def __init__(self, space: Space, genotypes: list[Genotype]) -> None:
        super().__init__(space)
        self.genotypes = genotypes
        self.values_told: list[tuple[Genotype, float]] = []

    def ask(self, rng: random.Random) -> Genotype:
        return self.genotypes[len(self.values_told) % len(self.genotypes)]

    def tell(self, genotype: Genotype, value: float) -> None:
        self.values_told.append((genotype, value))


def run(
    budget: Budget, costs: list[float], values: list[float], cached: bool = False
) -> tuple[AskTellLoop, GivenGenotypes]:
    genotypes = list(dict.fromkeys(sampled(NB201, 50)))[: len(costs)]
    strategy = GivenGenotypes(NB201, genotypes)
    table = {g: QueryResult(v, c) for g, v, c in zip(genotypes, values, costs, strict=True)}
    loop = AskTellLoop(strategy, budget, random.Random(0), cached)
    while loop.step(table.__getitem__):
        pass
    return loop, strategy


def test_loop_discards_query_beyond_seconds_and_ends() -> None:
    loop, strategy = run(Budget(seconds=10), [4, 6, 1], [1, 2, 9])
    assert ([q.seconds for q in loop.history], loop.spent, loop.ended) == ([4, 6], 10, "seconds")
    assert len(strategy.values_told) == 2 and loop.best == loop.history[1]
    loop, _ = run(Budget(seconds=9.99), [4, 6, 1], [1, 2, 9])
    assert [q.seconds for q in loop.history] == [4], "the third query would fit but is not made"
    loop, _ = run(Budget(queries=2, seconds=100), [4, 6, 1], [1, 2, 9])
    assert (len(loop.history), loop.ended) == (2, "queries")
    with pytest.raises(NasError, match="the first query takes 4 s"):
        run(Budget(seconds=3), [4], [1])


def test_loop_charges_repeats_unless_cached() -> None:
    loop, _ = run(Budget(queries=7), [1, 2, 3], [1, 2, 3])
    assert loop.spent == 1 + 2 + 3 + 1 + 2 + 3 + 1 and loop.ended == "queries"
    loop, strategy = run(Budget(queries=7), [1, 2, 3], [1, 2, 3], cached=True)
    assert (loop.spent, len(loop.history), loop.ended) == (6, 3, "repeats")
    assert [v for _, v in strategy.values_told[:7]] == [1, 2, 3, 1, 2, 3, 1] and len(strategy.values_told) == 3 + 1000


def test_loop_best_is_first_of_equals_and_finite() -> None:
    values = [math.nan, -math.inf, 3, math.inf, 5, 5, 4]
    loop, strategy = run(Budget(queries=7), [1] * 7, values)
    assert loop.incumbents == [0, 2, 4] and loop.best == loop.history[4]
    assert [v for _, v in strategy.values_told] == [-math.inf, -math.inf, 3, -math.inf, 5, 5, 4]


@pytest.mark.parametrize("strategy", [RandomSearch, RegularizedEvolution, LocalSearch, ReinforceStrategy])
def test_strategies_continue_without_finite_values(strategy: type[Strategy]) -> None:
    loop = AskTellLoop(strategy(NB201), Budget(queries=60), random.Random(0))
    while loop.step(lambda genotype: QueryResult(math.nan, 1.0)):
        pass
    assert len(loop.history) == 60 and loop.incumbents == [0]


@pytest.mark.parametrize(
    "options", [{"queries": 0}, {"queries": -1}, {"seconds": 0.0}, {"seconds": -5.0}, {"seconds": math.inf}]
)
def test_budget_refuses_limits_of_zero_or_less(options: dict[str, float]) -> None:
    with pytest.raises(NasError, match=f"Budget: {next(iter(options))}="):
        Budget(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", [RandomSearch, RegularizedEvolution, LocalSearch, ReinforceStrategy])
@pytest.mark.parametrize("name", ["nas_bench_201", "darts_s1"])
def test_replayed_loop_continues_identically(strategy: type[Strategy], name: str) -> None:
    space = NB201 if name == "nas_bench_201" else darts(name)

    def evaluate(genotype: Genotype) -> QueryResult:
        return QueryResult(value_of(genotype), 1.0)

    whole = AskTellLoop(strategy(space), Budget(queries=60), random.Random(7))
    part = AskTellLoop(strategy(space), Budget(queries=25), random.Random(7))
    for loop in (whole, part):
        while loop.step(evaluate):
            pass
    again = AskTellLoop(strategy(space), Budget(queries=60), random.Random(7))
    again.replay(part.history)
    while again.step(evaluate):
        pass
    assert again.history == whole.history and again.incumbents == whole.incumbents and again.ended == "queries"
    other = AskTellLoop(strategy(space), Budget(queries=60), random.Random(8))
    with pytest.raises(NasError, match="differs from the proposal of the strategy"):
        other.replay(part.history)


def evaluate_at(genotype: Genotype, fidelity: int) -> QueryResult:
    """Return a value and seconds that depend only on genotype and fidelity."""
    return QueryResult(value_of(genotype, f"at {fidelity}"), float(fidelity))


def run_bohb(budget: Budget, space: Any = NB201, cached: bool = False, evaluate: Any = evaluate_at) -> AskTellLoop:
    loop = AskTellLoop(Bohb(space, rungs=3), budget, random.Random(0), cached, [1, 3, 9])
    while loop.step(evaluate):
        pass
    return loop


def test_loop_evaluates_each_rung_at_its_fidelity() -> None:
    history = run_bohb(Budget(queries=20)).history
    lengths = [1] * 9 + [3] * 3 + [9] + [3] * 3 + [9] + [9] * 3
    assert [query.fidelity for query in history] == lengths == [int(query.seconds) for query in history]
    assert all(
        query[1:3] == evaluate_at(query.genotype, length) for query, length in zip(history, lengths, strict=True)
    )
    first = sorted(history[:9], key=lambda query: -query.value)
    assert [query.genotype for query in history[9:12]] == [query.genotype for query in first[:3]]
    assert history[12].genotype == max(history[9:12], key=lambda query: query.value).genotype
    assert history[16].genotype == max(history[13:16], key=lambda query: query.value).genotype


@pytest.mark.parametrize(("seconds", "length"), [(8, 1), (15, 3), (60, 9)])
def test_loop_best_has_highest_fidelity(seconds: float, length: int) -> None:
    loop = run_bohb(Budget(seconds=seconds))
    longest = [query for query in loop.history if query.fidelity == length]
    assert longest and length == max(query.fidelity or 0 for query in loop.history)
    assert loop.best == max(longest, key=lambda query: query.value)
    steps = [loop.history[number].rank for number in loop.incumbents]
    assert steps == sorted(set(steps)) and loop.spent <= seconds


def test_loop_best_is_finite_at_highest_fidelity() -> None:
    loop = run_bohb(Budget(queries=13), evaluate=lambda g, n: QueryResult(math.nan, 1) if n == 9 else evaluate_at(g, n))
    assert loop.best is not None and loop.best.fidelity == 3 and len(loop.history) == 13


def test_cached_loop_pays_once_per_fidelity() -> None:
    space = SmallSpace(CHAIN)
    history = run_bohb(Budget(queries=70), space, cached=True).history
    asked = [(query.genotype, query.fidelity) for query in history]
    assert len(set(asked)) == len(asked) == 70 and len({genotype for genotype, _ in asked}) < 64
    both = run_bohb(Budget(queries=70), space).history
    assert len({(query.genotype, query.fidelity) for query in both}) < 70


def test_loop_refuses_other_number_of_rungs() -> None:
    with pytest.raises(NasError, match=r"2 fidelities need 2 rungs, Bohb has 3.*rungs=2"):
        AskTellLoop(Bohb(NB201), Budget(), random.Random(0), fidelities=[12, 200])
    with pytest.raises(NasError, match=r"RandomSearch has 1. Remove them, or set method=bohb"):
        AskTellLoop(RandomSearch(NB201), Budget(), random.Random(0), fidelities=[12, 200])


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_loop_refuses_cost_that_no_evaluation_has(seconds: float) -> None:
    """A budget of seconds with such a cost would never end, or end at once."""
    for budget in (Budget(queries=3), Budget(seconds=10.0)):
        with pytest.raises(
            NasError, match=r"evaluator: a query has a cost of .* seconds\. Return a number of at least 0"
        ):
            run(budget, [1.0, seconds, 1.0], [1.0, 2.0, 3.0])
