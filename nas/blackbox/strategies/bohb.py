"""BOHB (Falkner et al., ICML 2018): Hyperband's brackets with candidates from a model of the results."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

from nas.architecture.cell import Genotype
from nas.blackbox.encoding import CategoricalEncoding
from nas.blackbox.strategies.base import Strategy
from nas.blackbox.strategies.decision_model import Choices, DecisionModel
from nas.blackbox.strategies.kernel_density import KernelDensityModel
from nas.blackbox.strategies.optuna_tpe import OptunaTPE
from nas.spaces.base import Space
from nas.spaces.limits import MAX_TRIES
from nas.utils.ranges import COUNT, FRACTION, PROBABILITY, Range, check_ranges

MAX_PROPOSALS = 100
"""Proposals of the model that may exceed a limit before random candidates take their place."""


@dataclass
class _Bracket:
    """One run of successive halving.

    Attributes:
        rungs: remaining rungs, each with its number and the number of candidates that it evaluates.
        asked: number of proposed candidates of the present rung.
        waiting: candidates promoted to the present rung and not yet proposed.
        results: results of the present rung.
    """

    rungs: list[tuple[int, int]]
    asked: int = 0
    waiting: list[tuple[Genotype, Choices]] = field(default_factory=list)
    results: list[tuple[float, Genotype, Choices]] = field(default_factory=list)

    @property
    def idle(self) -> bool:
        """True if all candidates of the present rung have been proposed."""
        return not self.rungs or self.asked >= self.rungs[0][1]


@check_ranges(
    rungs=Range(1, 20, whole=True),
    eta=Range(2, 1000, whole=True),
    num_samples=COUNT,
    random_fraction=PROBABILITY,
    top=Range(0, 1, above=True, below=True),
    min_points=COUNT,
    min_bandwidth=FRACTION,
)
class Bohb(Strategy):
    """Hyperband's brackets of successive halving; the model of the highest ready rung proposes candidates.

    Each rung has a model of its results. Candidates are random until a model is ready. With several fidelities, a rung
    is evaluated at its own fidelity. With a single one, a promoted candidate is evaluated again at full cost, as in the
    published runs on NAS-Bench-201; a ``cached`` search gets its value at no cost. ``random_fraction=1`` is Hyperband
    (Li et al., JMLR 2018).

    If several candidates are evaluated at the same time, a bracket whose rung is incomplete starts the next bracket, as
    in the authors' program (HpBandSter). The oldest bracket has precedence.

    Args:
        space: search space.
        rungs: number of fidelities of Hyperband, as many as the evaluator has if it has several. 3 corresponds to
            budgets from 12 to 200.
        eta: fraction 1 / eta of the candidates is promoted to the next rung.
        model: ``kernels``, the authors' densities (``kernel_density``), or ``optuna``, Optuna's TPE.
        num_samples: number of candidates among which the model selects one.
        random_fraction: fraction of candidates that are sampled without the model.
        top: fraction of the results that counts as good, at least ``min_points`` results.
        min_points: minimum number of good results; None is one more than the number of decisions. ``kernels`` need as
            many bad results.
        min_bandwidth: lower bound of the bandwidths of ``kernels``.

    Raises:
        NasError: if Optuna is required and not installed, or an option is out of range.
    """

    def __init__(
        self,
        space: Space,
        rungs: int = 3,
        eta: int = 3,
        model: Literal["kernels", "optuna"] = "kernels",
        num_samples: int = 4,
        random_fraction: float = 0.0,
        top: float = 0.15,
        min_points: int | None = None,
        min_bandwidth: float = 0.3,
    ) -> None:
        super().__init__(space)
        self.encoding = CategoricalEncoding(space)
        self.rungs, self.eta, self.random_fraction = rungs, eta, random_fraction
        points = len(self.encoding.decisions) + 1 if min_points is None else min_points
        common = (self.encoding, num_samples, top, points)
        self.models: list[DecisionModel] = [
            OptunaTPE(*common) if model == "optuna" else KernelDensityModel(*common, min_bandwidth)
            for _ in range(rungs)
        ]
        self.details: tuple[_Bracket, Choices]
        self._brackets: list[_Bracket] = []
        self._brackets_started = 0

    def ask(self, rng: random.Random) -> Genotype:
        bracket = next((bracket for bracket in self._brackets if not bracket.idle), None)
        if bracket is None:
            bracket = self._start_bracket()
        self.rung = bracket.rungs[0][0]
        genotype, choices = bracket.waiting.pop(0) if bracket.waiting else self._new_candidate(rng)
        bracket.asked += 1
        self.details = bracket, choices
        return genotype

    def _start_bracket(self) -> _Bracket:
        halvings = self.rungs - 1 - self._brackets_started % self.rungs
        first = self.rungs // (halvings + 1) * self.eta**halvings
        plan = [(self.rungs - 1 - halvings + i, max(first // self.eta**i, 1)) for i in range(halvings + 1)]
        self._brackets_started += 1
        self._brackets.append(_Bracket(plan))
        return self._brackets[-1]

    def tell(self, genotype: Genotype, value: float) -> None:
        bracket, choices = self.details
        rung, size = bracket.rungs[0]
        self.models[rung].add(choices, value)
        bracket.results.append((value, genotype, choices))
        if len(bracket.results) < size:
            return
        bracket.rungs.pop(0)
        bracket.asked = 0
        if bracket.rungs:
            ranked = sorted(bracket.results, key=lambda result: -result[0])[: bracket.rungs[0][1]]
            bracket.waiting = [(member, chosen) for _, member, chosen in ranked]
        else:
            self._brackets.remove(bracket)
        bracket.results = []

    def _new_candidate(self, rng: random.Random) -> tuple[Genotype, Choices]:
        """Return a candidate within the limits: by the model, or at random after ``MAX_PROPOSALS`` that are not."""
        for number in range(MAX_TRIES):
            genotype, choices = self._propose(rng, uniform=number >= MAX_PROPOSALS)
            if self.allows(genotype):
                return genotype, choices
        assert self.limits is not None
        raise self.limits.too_few()

    def _propose(self, rng: random.Random, uniform: bool) -> tuple[Genotype, Choices]:
        ready = [model for model in self.models if model.ready]
        sampled: Choices = {}
        if ready and not uniform and rng.random() >= self.random_fraction:
            sampled = ready[-1].sample(rng)
        choices: dict[int, int] = {}

        def choose(number: int) -> int:
            choice = sampled[number] if sampled else rng.randrange(self.encoding.decisions[number].size)
            return choices.setdefault(number, choice)

        return self.encoding.decode(choose), choices
