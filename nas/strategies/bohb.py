"""BOHB (Falkner et al., ICML 2018): Hyperband's brackets with candidates from a tree-structured Parzen estimator."""

from __future__ import annotations

import math
import random
import warnings
from dataclasses import dataclass, field
from typing import Any

from nas.cells import Genotype
from nas.errors import NasError
from nas.spaces.space import Space
from nas.strategies.decisions import Decisions
from nas.strategies.strategy import Strategy

Choices = dict[str, int]


@dataclass
class _Bracket:
    """One round of successive halving: how many members each of its ``rungs`` evaluates, and how far it is."""

    rungs: list[tuple[int, int]]
    """The number of the rung and how many candidates it evaluates."""
    waiting: list[tuple[Genotype, Choices]] = field(default_factory=list)
    results: list[tuple[float, Genotype, Choices]] = field(default_factory=list)


class Bohb(Strategy):
    """Brackets of successive halving as Hyperband plans them; new candidates by Optuna's TPE on the highest rung.

    An evaluator has one fidelity: a candidate that goes up a rung is evaluated again, at the full price, as in the
    published runs on NAS-Bench-201 (``cached`` searches get that for nothing). The model is that of the highest rung
    with ``min_points`` results (by default one more than there are decisions); until then candidates are random.

    It differs from hpbandster's BOHB in the density estimator: Optuna's product of categorical kernels with a uniform
    prior instead of Aitchison-Aitken kernels with fitted bandwidths, and candidates drawn from that density itself
    instead of from a widened copy of it (``bandwidth_factor``, ``min_bandwidth``).

    Args:
        rungs: fidelities of Hyperband; 3 stands for budgets from 12 to 200.
        eta: the share that goes up a rung is 1 / eta.
        num_samples: candidates among which the model chooses one.
        random_fraction: of the candidates that are drawn without the model.
        top: the share of the results that counts as good, though at least ``min_points`` of them.

    Raises:
        NasError: where Optuna is not installed, or an option is out of range.
    """

    def __init__(
        self,
        space: Space,
        rungs: int = 3,
        eta: int = 3,
        num_samples: int = 4,
        random_fraction: float = 0.0,
        top: float = 0.15,
        min_points: int | None = None,
    ) -> None:
        super().__init__(space)
        if rungs < 1 or eta < 2 or num_samples < 1 or not 0 <= random_fraction <= 1 or not 0 < top < 1:
            raise NasError(
                f"rungs={rungs}, eta={eta}, num_samples={num_samples}, random_fraction={random_fraction}, top={top}: "
                "rungs and num_samples must be at least 1, eta at least 2, random_fraction from 0 to 1, top between"
            )
        self.optuna = _optuna()
        self.decisions = Decisions(space)
        self.rungs, self.eta, self.num_samples = rungs, eta, num_samples
        self.random_fraction, self.top = random_fraction, top
        self.min_points = len(self.decisions.all) + 1 if min_points is None else min_points
        self._studies: list[Any] = []
        self._points = [0] * rungs
        self._bracket = _Bracket([])
        self._number = 0
        self._asked: tuple[Genotype, Choices] | None = None

    def ask(self, rng: random.Random) -> Genotype:
        if not self._studies:
            self._studies = [self._study(rng.randrange(2**31)) for _ in range(self.rungs)]
        if not self._bracket.rungs:
            left = self.rungs - 1 - self._number % self.rungs
            first = self.rungs // (left + 1) * self.eta**left
            plan = [(self.rungs - 1 - left + i, max(first // self.eta**i, 1)) for i in range(left + 1)]
            self._bracket = _Bracket(plan)
            self._number += 1
        waiting = self._bracket.waiting
        self._asked = waiting.pop(0) if waiting else self._candidate(rng)
        return self._asked[0]

    def tell(self, genotype: Genotype, value: float) -> None:
        assert self._asked is not None
        choices, bracket = self._asked[1], self._bracket
        rung, size = bracket.rungs[0]
        if math.isfinite(value):
            self._studies[rung].add_trial(
                self.optuna.trial.create_trial(value=value, params=choices, distributions=self._distributions(choices))
            )
            self._points[rung] += 1
        bracket.results.append((value, genotype, choices))
        if len(bracket.results) < size:
            return
        bracket.rungs.pop(0)
        if bracket.rungs:
            ranked = sorted(bracket.results, key=lambda result: -result[0])[: bracket.rungs[0][1]]
            bracket.waiting = [(member, picked) for _, member, picked in ranked]
        bracket.results = []

    def _candidate(self, rng: random.Random) -> tuple[Genotype, Choices]:
        choices: Choices = {}
        ready = [rung for rung in range(self.rungs) if self._points[rung] >= self.min_points]
        if not ready or rng.random() < self.random_fraction:

            def pick(number: int) -> int:
                name, size = self.decisions.all[number]
                return choices.setdefault(name, rng.randrange(size))

            return self.decisions.genotype(pick), choices
        study = self._studies[ready[-1]]
        trial = study.ask()

        def suggest(number: int) -> int:
            name, size = self.decisions.all[number]
            return choices.setdefault(name, int(trial.suggest_categorical(name, range(size))))

        genotype = self.decisions.genotype(suggest)
        # The result goes to the study of its rung as a trial of its own; this one is only a draw from the model.
        study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
        return genotype, choices

    def _study(self, seed: int) -> Any:
        with warnings.catch_warnings():
            # Optuna 5 means to take `gamma` away in 6; its own rule counts one result in ten as good, BOHB more.
            warnings.simplefilter("ignore", FutureWarning)
            sampler = self.optuna.samplers.TPESampler(
                n_startup_trials=0,
                n_ei_candidates=self.num_samples,
                gamma=lambda count: max(self.min_points, int(self.top * count)),
                constant_liar=False,
                seed=seed,
            )
        return self.optuna.create_study(direction="maximize", sampler=sampler)

    def _distributions(self, choices: Choices) -> dict[str, Any]:
        sizes = dict(self.decisions.all)
        return {name: self.optuna.distributions.CategoricalDistribution(range(sizes[name])) for name in choices}


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise NasError("BOHB needs Optuna, which is not installed: pip install 'nas-compose[bohb]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
