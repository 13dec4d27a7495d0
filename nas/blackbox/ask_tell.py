"""Ask-and-tell loop of a strategy and an evaluator within a budget."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nas.architecture.cell import Genotype
from nas.blackbox.evaluator import QueryResult, check_fidelities
from nas.blackbox.strategies.base import Strategy
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, POSITIVE, check_ranges

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


class Query(NamedTuple):
    """Evaluated genotype with its value and cost.

    Attributes:
        genotype: The genotype.
        value: Value from the evaluator.
        seconds: Cost of the evaluation.
        fidelity: Training length in epochs, None if there is a single fidelity.
    """

    genotype: Genotype
    value: float
    seconds: float
    fidelity: int | None = None

    @property
    def rank(self) -> tuple[int, float]:
        """Sort key: a finite value at the highest fidelity, then the value."""
        return (self.fidelity or 0, self.value) if math.isfinite(self.value) else (-1, -math.inf)


class AskTellLoop:
    """Run of a strategy.

    A repeated genotype is evaluated and paid for again unless ``cached``. A cached search tells the first value again
    at no cost; 1,000 consecutive cached answers end it ("repeats").

    With several fidelities, each rung of the strategy is evaluated at its own fidelity. Each training length is paid
    for separately, and only results at the longest length so far can be the best.

    Args:
        strategy: Proposes genotypes.
        budget: Limit of the run.
        rng: Generator of the strategy.
        cached: Whether repeated genotypes are answered from the history.
        fidelities: Increasing training lengths in epochs, one per rung; None for a single fidelity.

    Attributes:
        history: Paid queries in order.
        incumbents: Numbers of the queries that were better than all queries before them; the first query is one.
        spent: Sum of the seconds.
        ended: Reason of the end ("queries", "seconds", "repeats"), None before it.

    Raises:
        NasError: If the number of fidelities differs from the strategy's number of rungs.
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
        self.incumbents: list[int] = []
        self.spent = 0.0
        self.ended: str | None = None
        self._rng = rng
        self._cache: dict[tuple[Genotype, int | None], float] = {}

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
        genotype = None if self.ended else self._ask()
        if genotype is None:
            return False
        fidelity = self._fidelity
        value, seconds = evaluate(genotype) if fidelity is None else evaluate(genotype, fidelity)
        limit = self.budget.seconds
        if limit is not None and self.spent + seconds > limit:
            self.ended = "seconds"
            if not self.history:
                raise NasError(
                    f"method.budget.seconds={limit:g}: the first query takes {seconds:.3g} s. Increase it, or set "
                    "method.budget.queries."
                )
            return False
        self._tell(Query(genotype, value, seconds, fidelity))
        return True

    def replay(self, history: list[Query]) -> None:
        """Restore a run from its history: ask and tell the strategy again, without evaluations.

        Raises:
            NasError: If the strategy asks for other genotypes, because it has other options or another seed.
        """
        for query in history:
            genotype = self._ask()
            if genotype != query.genotype:
                raise NasError(
                    f"ckpt_path: query {len(self.history)} of the checkpoint differs from what the strategy asks for. "
                    "Resume with the options and the seed of the interrupted search."
                )
            self._tell(query._replace(fidelity=self._fidelity))
        self.ended = None
        self._check_queries()

    @property
    def _fidelity(self) -> int | None:
        """Fidelity of the last genotype that was asked for."""
        return self.fidelities[self.strategy.rung] if self.fidelities else None

    def _ask(self) -> Genotype | None:
        """Return the next genotype to evaluate, None after too many cached answers."""
        for _ in range(MAX_CACHED_ANSWERS):
            genotype = self.strategy.ask(self._rng)
            value = self._cache.get((genotype, self._fidelity)) if self.cached else None
            if value is None:
                return genotype
            self.strategy.tell(genotype, value)
        self.ended = "repeats"
        return None

    def _tell(self, query: Query) -> None:
        value = query.value if math.isfinite(query.value) else -math.inf
        if not self.history or query.rank > self.history[self.incumbents[-1]].rank:
            self.incumbents.append(len(self.history))
        self.history.append(query)
        self.spent += query.seconds
        if self.cached:
            self._cache.setdefault((query.genotype, query.fidelity), value)
        self.strategy.tell(query.genotype, value)
        self._check_queries()

    def _check_queries(self) -> None:
        if self.budget.queries is not None and len(self.history) >= self.budget.queries:
            self.ended = "queries"
