"""Optuna's tree-structured Parzen estimator as a model of decisions."""

from __future__ import annotations

import math
import random
import warnings
from typing import Any

from nas.blackbox.encoding import Decisions
from nas.blackbox.strategies.model import Choices, Model
from nas.utils.errors import NasError


class OptunaModel(Model):
    """Optuna's TPE: a product of categorical kernels with a uniform prior; candidates come from that density itself.

    It is there with ``min_points`` results. A decision is drawn only where it takes part. Results without a number are
    left out.

    Raises:
        NasError: where Optuna is not installed.
    """

    def __init__(self, decisions: Decisions, num_samples: int, top: float, min_points: int) -> None:
        super().__init__(decisions, num_samples, top, min_points)
        self.optuna = _optuna()
        self._waiting: list[Any] = []
        self._points = 0
        self._study: Any = None

    @property
    def ready(self) -> bool:
        return self._points >= self.min_points

    def tell(self, choices: Choices, value: float) -> None:
        if not math.isfinite(value):
            return
        named = {self.decisions.all[number]: choice for number, choice in choices.items()}
        trial = self.optuna.trial.create_trial(
            value=value,
            params={decision.name: choice for decision, choice in named.items()},
            distributions={
                decision.name: self.optuna.distributions.CategoricalDistribution(range(decision.size))
                for decision in named
            },
        )
        self._waiting.append(trial)
        self._points += 1

    def draw(self, rng: random.Random) -> Choices:
        if self._study is None:
            self._study = self._new_study(rng.randrange(2**31))
        self._study.add_trials(self._waiting)
        self._waiting = []
        trial = self._study.ask()
        choices: dict[int, int] = {}

        def suggest(number: int) -> int:
            name, size = self.decisions.all[number]
            return choices.setdefault(number, int(trial.suggest_categorical(name, range(size))))

        self.decisions.genotype(suggest)
        # The result goes to the study of its rung as a trial of its own; this one is only a draw from the model.
        self._study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
        return choices

    def _new_study(self, seed: int) -> Any:
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


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise NasError(
            "strategy.model=optuna needs Optuna, which is not installed: pip install 'nas-compose[bohb]', or choose "
            "method.strategy.model=kernels"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
