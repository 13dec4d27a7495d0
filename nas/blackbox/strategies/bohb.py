"""BOHB (Falkner et al., ICML 2018): Hyperband's brackets with candidates from a model of the results so far."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

from nas.architecture.cell import Genotype
from nas.blackbox.encoding import Decisions
from nas.blackbox.strategies.base import Strategy
from nas.blackbox.strategies.kernel_density import KernelModel
from nas.blackbox.strategies.model import Choices, Model
from nas.blackbox.strategies.tpe import OptunaModel
from nas.spaces.base import Space
from nas.utils.errors import NasError


@dataclass
class _Bracket:
    """One round of successive halving: how many members each of its ``rungs`` evaluates, and how far it is."""

    rungs: list[tuple[int, int]]
    """The number of the rung and how many candidates it evaluates."""
    waiting: list[tuple[Genotype, Choices]] = field(default_factory=list)
    results: list[tuple[float, Genotype, Choices]] = field(default_factory=list)


class Bohb(Strategy):
    """Brackets of successive halving as Hyperband plans them; new candidates by the model of the highest rung.

    Each rung has a model of its results; candidates come from that of the highest rung that has enough of them, and
    until there is one they are random. A rung stands for one of the evaluator's fidelities, where it has several, and
    is paid for as that. Where it has one, a candidate that goes up a rung is evaluated again, at the full price, as in
    the published runs on NAS-Bench-201 (``cached`` searches get that for nothing). ``random_fraction=1`` is Hyperband
    (Li et al., JMLR 2018).

    Args:
        rungs: fidelities of Hyperband, as many as the evaluator has where it has several; 3 is that of budgets from 12
            to 200.
        eta: the share that goes up a rung is 1 / eta.
        model: ``kernels``, the authors' (nas/blackbox/strategies/kernel_density.py), or ``optuna``, Optuna's TPE.
        num_samples: candidates among which the model chooses one.
        random_fraction: of the candidates that are drawn without the model.
        top: the share of the results that counts as good, though at least ``min_points`` of them.
        min_points: by default one more than there are decisions. ``kernels`` need as many bad ones beside them.
        min_bandwidth: of ``kernels``.

    Raises:
        NasError: where Optuna is asked for and not installed, or an option is out of range.
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
        if rungs < 1 or eta < 2 or num_samples < 1 or not 0 <= random_fraction <= 1 or not 0 < top < 1:
            raise NasError(
                f"rungs={rungs}, eta={eta}, num_samples={num_samples}, random_fraction={random_fraction}, top={top}: "
                "rungs and num_samples must be at least 1, eta at least 2, random_fraction from 0 to 1, top between"
            )
        if (min_points is not None and min_points < 1) or not 0 < min_bandwidth <= 1:
            raise NasError(
                f"min_points={min_points}, min_bandwidth={min_bandwidth}: min_points must be at least 1, min_bandwidth "
                "above 0 and at most 1"
            )
        self.decisions = Decisions(space)
        self.rungs, self.eta, self.random_fraction = rungs, eta, random_fraction
        points = len(self.decisions.all) + 1 if min_points is None else min_points
        common = (self.decisions, num_samples, top, points)
        self.models: list[Model] = [
            OptunaModel(*common) if model == "optuna" else KernelModel(*common, min_bandwidth) for _ in range(rungs)
        ]
        self._bracket = _Bracket([])
        self._number = 0
        self._asked: tuple[Genotype, Choices] | None = None

    def ask(self, rng: random.Random) -> Genotype:
        if not self._bracket.rungs:
            left = self.rungs - 1 - self._number % self.rungs
            first = self.rungs // (left + 1) * self.eta**left
            plan = [(self.rungs - 1 - left + i, max(first // self.eta**i, 1)) for i in range(left + 1)]
            self._bracket = _Bracket(plan)
            self._number += 1
        self.rung = self._bracket.rungs[0][0]
        waiting = self._bracket.waiting
        self._asked = waiting.pop(0) if waiting else self._candidate(rng)
        return self._asked[0]

    def tell(self, genotype: Genotype, value: float) -> None:
        assert self._asked is not None
        choices, bracket = self._asked[1], self._bracket
        rung, size = bracket.rungs[0]
        self.models[rung].tell(choices, value)
        bracket.results.append((value, genotype, choices))
        if len(bracket.results) < size:
            return
        bracket.rungs.pop(0)
        if bracket.rungs:
            ranked = sorted(bracket.results, key=lambda result: -result[0])[: bracket.rungs[0][1]]
            bracket.waiting = [(member, picked) for _, member, picked in ranked]
        bracket.results = []

    def _candidate(self, rng: random.Random) -> tuple[Genotype, Choices]:
        ready = [model for model in self.models if model.ready]
        drawn: Choices = {}
        if ready and rng.random() >= self.random_fraction:
            drawn = ready[-1].draw(rng)
        choices: dict[int, int] = {}

        def pick(number: int) -> int:
            choice = drawn[number] if drawn else rng.randrange(self.decisions.all[number].size)
            return choices.setdefault(number, choice)

        return self.decisions.genotype(pick), choices
