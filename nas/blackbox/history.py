"""The queries of one run: asked, paid and told, until the budget is used."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nas.architecture.cell import Genotype
from nas.blackbox.evaluator import Evaluation, growing
from nas.blackbox.strategies.base import Strategy
from nas.utils.errors import NasError

QUERIES = 100
REPEATS = 1000


@dataclass(frozen=True)
class Budget:
    """How long a run is: a number of ``queries``, of ``seconds``, or both; 100 queries where neither is given.

    A query that would exceed the seconds is discarded and ends the run. Raises NasError for one that allows nothing.
    """

    queries: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.queries is not None and self.queries < 1:
            raise NasError(f"budget.queries={self.queries}: give a whole number of queries, at least 1")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise NasError(f"budget.seconds={self.seconds}: give a number of seconds above 0")
        if self.queries is None and self.seconds is None:
            object.__setattr__(self, "queries", QUERIES)


class Query(NamedTuple):
    """A genotype that was paid for: its ``value`` as evaluated and the ``seconds`` it cost.

    ``fidelity`` is the length of its training in epochs, where that is one of several.
    """

    genotype: Genotype
    value: float
    seconds: float
    fidelity: int | None = None

    @property
    def rank(self) -> tuple[int, float]:
        """What is best: a number, at the highest fidelity, the highest one."""
        return (self.fidelity or 0, self.value) if math.isfinite(self.value) else (-1, -math.inf)


class Queries:
    """One run of a strategy: its ``history``, the seconds ``spent``, and what ``ended`` it (None while it goes on).

    A genotype that is asked for again costs again unless ``cached``: then its first value is told once more, for
    nothing, and a run of 1,000 such answers ends the search ("repeats").

    With several ``fidelities`` (epochs, growing) each rung of the strategy is evaluated at its own: a longer training
    is another one to pay for, and only results of the longest so far can be the best.

    Raises:
        NasError: where the strategy has not as many rungs.
    """

    def __init__(
        self,
        strategy: Strategy,
        budget: Budget,
        rng: random.Random,
        cached: bool = False,
        fidelities: Sequence[int] | None = None,
    ) -> None:
        self.fidelities = growing(fidelities)
        if self.fidelities and len(self.fidelities) != strategy.rungs:
            raise self._other_rungs(strategy)
        self.strategy = strategy
        self.budget = budget
        self.cached = cached
        self.history: list[Query] = []
        self.incumbents: list[int] = []
        """The queries, by number, that were better than all before them; the first query is one."""
        self.spent = 0.0
        self.ended: str | None = None
        self._rng = rng
        self._known: dict[tuple[Genotype, int | None], float] = {}

    def _other_rungs(self, strategy: Strategy) -> NasError:
        kind, count = type(strategy).__name__, len(self.fidelities)
        return NasError(
            f"evaluator.fidelities={list(self.fidelities)}: lengths of training for {count} rungs, and {kind} has "
            f"{strategy.rungs}: leave them out, or choose method=bohb with method.strategy.rungs={count}"
        )

    @property
    def best(self) -> Query | None:
        """The best of the history by value, at the highest fidelity there; the first of equals, None before any."""
        return self.history[self.incumbents[-1]] if self.incumbents else None

    def step(self, evaluate: Callable[..., Evaluation]) -> bool:
        """One query; False where the budget does not allow it, or the run has ended before."""
        genotype = None if self.ended else self._asked()
        if genotype is None:
            return False
        fidelity = self._fidelity
        value, seconds = evaluate(genotype) if fidelity is None else evaluate(genotype, fidelity)
        limit = self.budget.seconds
        if limit is not None and self.spent + seconds > limit:
            self.ended = "seconds"
            if not self.history:
                raise NasError(
                    f"budget.seconds={limit:g}: the first query alone takes {seconds:.3g} s; give more, or a number of "
                    "queries (budget.queries)"
                )
            return False
        self._take(Query(genotype, value, seconds, fidelity))
        return True

    def replay(self, history: list[Query]) -> None:
        """Asks and tells once more what ``history`` tells, so that the run goes on where that one stood.

        Raises:
            NasError: where the strategy asks for something else: it had other options.
        """
        for query in history:
            genotype = self._asked()
            if genotype != query.genotype:
                raise NasError(
                    f"ckpt_path: query {len(self.history)} of the checkpoint is not what this strategy asks for: go on "
                    "with the options and the seed that the search was started with"
                )
            self._take(query._replace(fidelity=self._fidelity))
        self.ended = None
        self._look_at_queries()

    @property
    def _fidelity(self) -> int | None:
        """That of the genotype asked for last."""
        return self.fidelities[self.strategy.rung] if self.fidelities else None

    def _asked(self) -> Genotype | None:
        """The next genotype to pay for."""
        for _ in range(REPEATS):
            genotype = self.strategy.ask(self._rng)
            known = self._known.get((genotype, self._fidelity)) if self.cached else None
            if known is None:
                return genotype
            self.strategy.tell(genotype, known)
        self.ended = "repeats"
        return None

    def _take(self, query: Query) -> None:
        told = query.value if math.isfinite(query.value) else -math.inf
        if not self.history or query.rank > self.history[self.incumbents[-1]].rank:
            self.incumbents.append(len(self.history))
        self.history.append(query)
        self.spent += query.seconds
        if self.cached:
            self._known.setdefault((query.genotype, query.fidelity), told)
        self.strategy.tell(query.genotype, told)
        self._look_at_queries()

    def _look_at_queries(self) -> None:
        if self.budget.queries is not None and len(self.history) >= self.budget.queries:
            self.ended = "queries"
