"""Ask-and-tell loop of a strategy and an evaluator within a budget."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from nas.architecture.cell import Genotype
from nas.blackbox.evaluator import QueryResult, check_fidelities, tie_of
from nas.blackbox.strategies.base import Strategy
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, NOT_NEGATIVE, POSITIVE, check_ranges

DEFAULT_QUERIES = 100
MAX_CACHED_ANSWERS = 1000
"""Consecutive cached answers after which a search ends."""


@check_ranges(queries=COUNT, seconds=POSITIVE)
@dataclass(frozen=True)
class Budget:
    """Limit of a search: ``queries``, ``seconds``, or both; 100 queries if neither is given.

    A query that would exceed the seconds is discarded and ends the search. Raises NasError for a limit of 0 or less.
    """

    queries: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.queries is None and self.seconds is None:
            object.__setattr__(self, "queries", DEFAULT_QUERIES)


class QueryOrder(NamedTuple):
    """Place of a query among the queries of a run that evaluates several at the same time.

    Attributes:
        position: ``Proposal.position``.
        asked: number of calls of ``Strategy.ask`` before the strategy received this value.
    """

    position: int
    asked: int


class Proposal(NamedTuple):
    """Genotype proposed by the strategy.

    Attributes:
        position: number of the call of ``Strategy.ask``, cached answers included.
        genotype: the genotype.
        fidelity: training length in epochs, None if there is a single fidelity.
        rung: ``Strategy.rung`` of the genotype.
        details: ``Strategy.details`` of the genotype.
    """

    position: int
    genotype: Genotype
    fidelity: int | None
    rung: int
    details: Any


class Query(NamedTuple):
    """Evaluated genotype with its value and cost.

    Attributes:
        genotype: the genotype.
        value: value from the evaluator.
        seconds: cost of the evaluation.
        fidelity: training length in epochs, None if there is a single fidelity.
        order: place among queries that are evaluated at the same time, None for the only one.
        error: description of the failure of the evaluation, None for a success.
        tie: number that orders genotypes of equal values; higher is better.
    """

    genotype: Genotype
    value: float
    seconds: float
    fidelity: int | None = None
    order: QueryOrder | None = None
    error: str | None = None
    tie: float = 0.0

    @property
    def rank(self) -> tuple[int, float, float]:
        """Sort key: a finite value at the highest fidelity, then the value, then the tie."""
        return (self.fidelity or 0, self.value, self.tie) if math.isfinite(self.value) else (-1, -math.inf, 0.0)


class AskTellLoop:
    """Evaluation loop of a black-box strategy with the methods ``ask`` and ``tell``.

    Several genotypes may be evaluated at the same time: ``ask`` returns them, and ``tell`` takes their results in any
    order. ``step`` does both for one genotype.

    A repeated genotype is evaluated and paid for again unless ``cached``. A cached search returns the first value again
    at no cost; 1,000 consecutive cached answers end it ("repeats") if no genotype is pending. A genotype that the space
    does not admit gets the value -inf at no cost, and counts as a cached answer.

    With several fidelities, each rung of the strategy is evaluated at its own fidelity. Each training length is paid
    for separately, and only results at the longest length so far can be the best.

    Args:
        strategy: proposes genotypes.
        budget: limit of the run.
        rng: generator of the strategy.
        cached: whether repeated genotypes are answered from the history.
        fidelities: increasing training lengths in epochs, one per rung; None for a single fidelity.

    Attributes:
        history: paid queries in the order of their results.
        pending: genotypes without a result, by position.
        asked: number of calls of ``Strategy.ask`` that have returned a genotype.
        incumbents: numbers of the queries that were better than all queries before them; the first query is one.
        spent: sum of the seconds.
        ended: reason of the end ("queries", "seconds", "repeats"), None before it.

    Raises:
        NasError: if the number of fidelities differs from the strategy's number of rungs.
    """

    def __init__(
        self,
        strategy: Strategy,
        budget: Budget,
        rng: random.Random,
        cached: bool = False,
        fidelities: Sequence[int] | None = None,
    ) -> None:
        self.fidelities = check_fidelities(fidelities)
        if self.fidelities and len(self.fidelities) != strategy.rungs:
            raise self._wrong_number_of_rungs(strategy)
        self.strategy = strategy
        self.budget = budget
        self.cached = cached
        self.history: list[Query] = []
        self.pending: dict[int, Proposal] = {}
        self.asked = 0
        self.incumbents: list[int] = []
        self.spent = 0.0
        self.ended: str | None = None
        self._rng = rng
        self._cache: dict[tuple[Genotype, int | None], tuple[float, float]] = {}

    def _wrong_number_of_rungs(self, strategy: Strategy) -> NasError:
        name, count = type(strategy).__name__, len(self.fidelities)
        return NasError(
            f"evaluator.fidelities={list(self.fidelities)}: {count} fidelities need {count} rungs, {name} has "
            f"{strategy.rungs}. Remove them, or set method=bohb method.strategy.rungs={count}."
        )

    @property
    def best(self) -> Query | None:
        """Best query by fidelity and value, the first of equals; None before the first query."""
        return self.history[self.incumbents[-1]] if self.incumbents else None

    def step(self, evaluate: Callable[..., QueryResult]) -> bool:
        """Evaluate one genotype. Return False if the budget does not allow it or the run has ended."""
        proposal = self.ask()
        if proposal is None:
            return False
        genotype, fidelity = proposal.genotype, proposal.fidelity
        return self.tell(proposal.position, evaluate(genotype) if fidelity is None else evaluate(genotype, fidelity))

    def ask(self) -> Proposal | None:
        """Return the next genotype to evaluate.

        None if the run has ended, if the pending genotypes use the budget up, or if the strategy waits for a result.
        """
        queries = self.budget.queries
        if self.ended or (queries is not None and len(self.history) + len(self.pending) >= queries):
            return None
        return self._ask()

    def tell(self, position: int, result: QueryResult, error: str | None = None) -> bool:
        """Take the result of a pending genotype.

        Args:
            position: ``Proposal.position``.
            result: value and cost; the value of a failed evaluation is NaN.
            error: description of the failure, None for a success.

        Returns:
            False if the result exceeds the seconds of the budget. It is discarded, and the run ends.

        Raises:
            NasError: if the seconds are negative or not finite, or the first query exceeds the budget.
        """
        if result.seconds not in NOT_NEGATIVE:
            raise NasError(f"evaluator: a query has a cost of {result.seconds} seconds. Return {NOT_NEGATIVE}.")
        limit = self.budget.seconds
        if limit is not None and self.spent + result.seconds > limit:
            self.ended = "seconds"
            if not self.history:
                raise NasError(
                    f"method.budget.seconds={limit:g}: the first query takes {result.seconds:.3g} s. Increase it, or "
                    "set method.budget.queries."
                )
            return False
        proposal = self.pending.pop(position)
        alone = not self.pending and position == self.asked - 1
        order = None if alone else QueryOrder(position, self.asked)
        self._tell(proposal, Query(proposal.genotype, *result, proposal.fidelity, order, error, tie_of(result)))
        return True

    def replay(self, history: Sequence[Query], asked: int | None = None) -> None:
        """Restore a run from its history: ask and tell the strategy in the same order, without evaluations.

        Args:
            history: queries of the run; their fidelities are not read.
            asked: number of calls of ``Strategy.ask``, also those without a result; None: no others.

        Raises:
            NasError: if the strategy proposes other genotypes, because it has other options or another seed.
        """
        for query in history:
            if query.order is not None:
                self._ask_until(query.order.asked)
            elif not self.pending:
                self._ask()
            position = next(iter(self.pending), -1) if query.order is None else query.order.position
            pending = self.pending.pop(position, None)
            if pending is None or pending.genotype != query.genotype:
                raise NasError(
                    f"ckpt_path: query {len(self.history)} of the checkpoint differs from the proposal of the strategy."
                    " Resume with the options and the seed of the interrupted search."
                )
            self._tell(pending, query._replace(fidelity=pending.fidelity))
        self._ask_until(self.asked if asked is None else asked)
        self.ended = None
        self._check_queries()

    def _ask_until(self, count: int) -> None:
        while self.asked < count and self._ask_strategy() is not None:
            pass

    @property
    def _fidelity(self) -> int | None:
        """Fidelity of the last proposal."""
        return self.fidelities[self.strategy.rung] if self.fidelities else None

    def _ask(self) -> Proposal | None:
        """Return the next genotype to evaluate, None after many cached answers or if the strategy waits."""
        for _ in range(MAX_CACHED_ANSWERS):
            proposal = self._ask_strategy()
            if proposal is None or proposal.position in self.pending:
                return proposal
        if not self.pending:  # otherwise their results may change the next proposal
            self.ended = "repeats"
        return None

    def _ask_strategy(self) -> Proposal | None:
        """Call the strategy once. Add its genotype to the pending genotypes, or pass the cached value to ``tell``."""
        strategy, genotype = self.strategy, self.strategy.ask(self._rng)
        if genotype is None:
            return None
        proposal = Proposal(self.asked, genotype, self._fidelity, strategy.rung, strategy.details)
        self.asked += 1
        cached = self._cache.get((genotype, proposal.fidelity)) if self.cached else None
        if not strategy.space.admits(genotype):
            cached = (-math.inf, 0.0)
        if cached is None:
            self.pending[proposal.position] = proposal
        else:
            strategy.tell_result(genotype, *cached)
        return proposal

    def _tell(self, proposal: Proposal, query: Query) -> None:
        value = query.value if math.isfinite(query.value) else -math.inf
        if not self.history or query.rank > self.history[self.incumbents[-1]].rank:
            self.incumbents.append(len(self.history))
        self.history.append(query)
        self.spent += query.seconds
        if self.cached and query.error is None:
            self._cache.setdefault((query.genotype, query.fidelity), (value, query.tie))
        self.strategy.rung, self.strategy.details = proposal.rung, proposal.details
        self.strategy.tell_result(query.genotype, value, query.tie)
        self._check_queries()

    def _check_queries(self) -> None:
        if self.budget.queries is not None and len(self.history) >= self.budget.queries:
            self.ended = "queries"
