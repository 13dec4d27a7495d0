"""Search for a Pareto front of the evaluator's value and costs of the genotype."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
import pytorch_lightning as pl
import torch

from nas.architecture.cell import Genotype
from nas.blackbox.ask_tell import AskTellLoop, Budget, Query
from nas.blackbox.evaluator import Evaluator
from nas.blackbox.evaluators.benchmark import BenchmarkQuery
from nas.blackbox.pareto.cost_sources import CostSources
from nas.blackbox.pareto.front import Points, hypervolume, hypervolume_curve, non_dominated, worst
from nas.blackbox.pareto.objectives import Objectives
from nas.blackbox.pareto.pick import PickRule
from nas.blackbox.search import BlackBoxSearch
from nas.blackbox.strategies.base import Strategy
from nas.blackbox.strategies.nsga2 import Nsga2
from nas.data.kinds import DataSet
from nas.executors.base import Executor
from nas.spaces.base import Space
from nas.utils.errors import NasError, unknown
from nas.utils.ranges import FINITE, check_ranges


class Front(NamedTuple):
    """Pareto front of a run.

    Attributes:
        queries: queries on the front, by the first objective from best to worst.
        losses: their losses [queries, objectives].
    """

    queries: list[Query]
    losses: Points


class TrueFront(NamedTuple):
    """Pareto front of a whole space with a tabular benchmark.

    Attributes:
        losses: losses [points, objectives].
        reference: worst value of each objective in the space.
    """

    losses: Points
    reference: list[float]


class BlackBoxOptions(TypedDict, total=False):
    """Options of ``BlackBoxSearch``."""

    budget: Budget | None
    seed: int
    cached: bool
    repetitions: int
    fidelities: Sequence[int] | None
    executor: Executor | None
    concurrency: int | None
    callbacks: Sequence[pl.Callback]
    name: str


@check_ranges(reference=FINITE)
class ParetoSearch(BlackBoxSearch):
    """Black-box search with several objectives, whose result is a front and one genotype that a rule selects from it.

    Costs are computed in this process when a value arrives, so workers and the log of queries are those of a search for
    one objective. A resumed search restores the front by replaying its queries.

    Args:
        space: search space.
        strategy: builds the strategy from the space. ``Nsga2`` receives all objectives, other strategies the value.
        evaluator: builds the evaluator.
        objectives: names of the objectives (``Objectives``).
        pick: rule that selects the genotype.
        costs: sources of the costs among the objectives.
        reference: reference point of the hypervolume by objective. Others are the worst values of the space if a
            tabular benchmark contains them, otherwise the worst values of the run plus a tenth of their range.
        options: further arguments of ``BlackBoxSearch``.

    Raises:
        NasError: if an option is invalid.
    """

    def __init__(
        self,
        space: Space,
        strategy: Callable[[Space], Strategy],
        evaluator: Callable[..., Evaluator] | None,
        objectives: Sequence[str] = ("value", "macs"),
        pick: PickRule | None = None,
        costs: CostSources | None = None,
        reference: Mapping[str, float] | None = None,
        **options: Unpack[BlackBoxOptions],
    ) -> None:
        # new_loop() below needs the objectives
        self.objectives = Objectives(space, objectives, costs)
        super().__init__(space, strategy, evaluator, **options)
        self.pick = PickRule() if pick is None else pick
        self.pick.check(self.objectives)
        for name in reference or ():
            if name not in self.objectives.names:
                raise unknown("method.reference: objective", name, self.objectives.names)
        self.reference = dict(reference or {})
        self._true_front: TrueFront | None = None

    def new_loop(self, seed: int, strategy: Callable[[Space], Strategy] | None = None) -> AskTellLoop:
        loop = super().new_loop(seed, strategy)
        if isinstance(loop.strategy, Nsga2):
            loop.strategy.objectives = self.objectives
        return loop

    def build_evaluator(self, data: DataSet, device: torch.device) -> Evaluator:
        """Build the evaluator. Raise NasError too if no point of a known true front is better than the reference."""
        evaluator = super().build_evaluator(data, device)
        true_front = self.true_front(evaluator) if self.reference else None
        if true_front is not None and not hypervolume(
            true_front.losses, self.reference_point(true_front.losses, true_front)
        ):
            given = ", ".join(f"{name}: {value:g}" for name, value in self.reference.items())
            raise NasError(
                f"method.reference={{{given}}}: no genotype is better than it. Lower value, or raise the bounds of the "
                "costs."
            )
        return evaluator

    def front(self, loop: AskTellLoop | None = None) -> Front:
        """Return the front of a run, by default of this search."""
        queries, losses = self.points(loop)
        kept = non_dominated(losses) if queries else []
        return Front([queries[index] for index in kept], losses[kept])

    def picked(self) -> Query | None:
        """Return the query that the rule selects, None before the first finite value."""
        front = self.front()
        return front.queries[self.pick(front.losses, self.objectives)] if front.queries else None

    def genotype(self) -> Genotype:
        """Return the genotype that the rule selects; a random one before the first query."""
        picked = self.picked()
        return super().genotype() if picked is None else picked.genotype

    def reference_point(self, losses: Points, true_front: TrueFront | None) -> list[float]:
        """Return the reference point of the hypervolume of some losses [points, objectives], at least one."""
        point = worst(losses) if true_front is None else list(true_front.reference)
        for position, objective in enumerate(self.objectives.items):
            given = self.reference.get(objective.name)
            if given is not None:
                point[position] = -given if objective.maximize else given
        return point

    def hypervolumes(self, evaluator: Evaluator, loop: AskTellLoop | None = None) -> list[float]:
        """Return the hypervolume after each query, an empty list if no query has finite objectives.

        It is relative to that of the true front, if a tabular benchmark contains the space.
        """
        every = self._losses(loop)
        losses = np.array([row for row in every if row is not None])
        if not len(losses):
            return []
        true_front = self.true_front(evaluator)
        reference = self.reference_point(losses, true_front)
        whole = 0.0 if true_front is None else hypervolume(true_front.losses, reference)
        curve = [0.0, *(value / (whole or 1.0) for value in hypervolume_curve(losses, reference))]
        return [curve[count] for count in accumulate(int(row is not None) for row in every)]

    def true_front(self, evaluator: Evaluator) -> TrueFront | None:
        """Return the front of all genotypes of an indexed space in a tabular benchmark; None if it is unknown."""
        if not isinstance(evaluator, BenchmarkQuery) or evaluator.benchmark_seed == "random" or self.limits is not None:
            return None
        if self._true_front is None and self.space.size is not None:
            genotypes = map(self.space.from_index, range(self.space.size))
            rows = [self.objectives.losses(genotype, evaluator(genotype).value) for genotype in genotypes]
            losses = np.array([row for row in rows if row is not None])
            self._true_front = TrueFront(losses[non_dominated(losses)], losses.max(axis=0).tolist())
        return self._true_front

    def run_figures(self, loop: AskTellLoop, evaluator: Evaluator) -> dict[str, Any]:
        """Return the size and the hypervolume of the front of a run, and the points of the true front on it."""
        volumes, losses = self.hypervolumes(evaluator, loop), self.front(loop).losses
        figures = {"front": len(losses), "hypervolume": volumes[-1] if volumes else None}
        true_front = self.true_front(evaluator)
        if true_front is None:
            return figures
        points = set(map(tuple, true_front.losses.tolist()))
        reached = len(points & set(map(tuple, losses.tolist())))
        return {**figures, "true_front": len(points), "true_front_reached": reached}

    def results(self) -> dict[str, Any]:
        picked, evaluator = self.picked(), self.evaluator
        assert evaluator is not None
        values_of_run = {**super().results(), **self.run_figures(self.loop, evaluator), "picked_by": self.pick.rule}
        if picked is None:
            return values_of_run
        values = dict(zip(self.objectives.names, self.objectives.of(picked.genotype, picked.value), strict=True))
        return {
            **values_of_run,
            **evaluator.reported_accuracies(picked.genotype),
            "value": picked.value,
            "objectives": values,
        }

    def diagnostics(self) -> dict[str, float]:
        return {**super().diagnostics(), "front": float(len(self.front().queries))}

    def points(self, loop: AskTellLoop | None = None) -> tuple[list[Query], Points]:
        """Return the queries of a run with finite objectives and their losses [queries, objectives]."""
        history = (self.loop if loop is None else loop).history
        evaluated = zip(history, self._losses(loop), strict=True)
        kept = [(query, losses) for query, losses in evaluated if losses is not None]
        table = np.array([losses for _, losses in kept]).reshape(len(kept), len(self.objectives.items))
        return [query for query, _ in kept], table

    def _losses(self, loop: AskTellLoop | None) -> list[tuple[float, ...] | None]:
        """Return the losses of each query of a run, None for one without finite objectives."""
        history = (self.loop if loop is None else loop).history
        return [self.objectives.losses(query.genotype, query.value) for query in history]
