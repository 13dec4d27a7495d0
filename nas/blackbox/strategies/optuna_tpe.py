"""Optuna's tree-structured Parzen estimator as a model of BOHB."""

from __future__ import annotations

import math
import random
import warnings
from typing import Any

from nas.blackbox.encoding import CategoricalEncoding
from nas.blackbox.strategies.decision_model import Choices, DecisionModel
from nas.utils.errors import NasError


class OptunaTPE(DecisionModel):
    """Product of categorical kernels with a uniform prior; candidates are sampled from the density of good results.

    The model is ready with ``min_points`` results. A decision is sampled only if it takes part. Values that are not
    finite are ignored.

    Raises:
        NasError: if Optuna is not installed.
    """

    def __init__(self, encoding: CategoricalEncoding, num_samples: int, top: float, min_points: int) -> None:
        super().__init__(encoding, num_samples, top, min_points)
        self.optuna = _import_optuna()
        self._new_trials: list[Any] = []
        self._points = 0
        self._study: Any = None

    @property
    def ready(self) -> bool:
        return self._points >= self.min_points

    def add(self, choices: Choices, value: float) -> None:
        if not math.isfinite(value):
            return
        options = {self.encoding.decisions[number]: choice for number, choice in choices.items()}
        trial = self.optuna.trial.create_trial(
            value=value,
            params={decision.name: choice for decision, choice in options.items()},
            distributions={
                decision.name: self.optuna.distributions.CategoricalDistribution(range(decision.size))
                for decision in options
            },
        )
        self._new_trials.append(trial)
        self._points += 1

    def sample(self, rng: random.Random) -> Choices:
        if self._study is None:
            self._study = self._create_study(rng.randrange(2**31))
        self._study.add_trials(self._new_trials)
        self._new_trials = []
        trial = self._study.ask()
        choices: dict[int, int] = {}

        def suggest(number: int) -> int:
            name, size = self.encoding.decisions[number]
            return choices.setdefault(number, int(trial.suggest_categorical(name, range(size))))

        self.encoding.decode(suggest)
        # The result is added to the study of its rung as a separate trial; this trial is only a sample of the model.
        self._study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
        return choices

    def _create_study(self, seed: int) -> Any:
        with warnings.catch_warnings():
            # Optuna 6 will remove `gamma`; its default counts a tenth of the results as good, BOHB counts more.
            warnings.simplefilter("ignore", FutureWarning)
            sampler = self.optuna.samplers.TPESampler(
                n_startup_trials=0,
                n_ei_candidates=self.num_samples,
                gamma=lambda count: max(self.min_points, int(self.top * count)),
                constant_liar=False,
                seed=seed,
            )
        return self.optuna.create_study(direction="maximize", sampler=sampler)


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise NasError(
            "method.strategy.model=optuna: Optuna is not installed. Run pip install 'nas-compose[bohb]', or set "
            "method.strategy.model=kernels."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
