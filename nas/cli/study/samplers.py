"""Samplers that several processes can share, and that a resumed study continues."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.utils import instantiate
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GridSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.cli.study.options import StudyOptions
from nas.cli.study.search_space import SearchSpace
from nas.cli.study.trial_state import counts


def build_sampler(options: StudyOptions, space: SearchSpace) -> BaseSampler:
    """Build the sampler of a study."""
    node = dict(options.sampler)
    if node["_target_"].endswith(f".{GridSampler.__name__}"):
        return UnusedCombinations(space.grid(), options.seed)
    return SeedPerTrial(lambda seed: instantiate({**node, "_convert_": "all"}, seed=seed), options.seed)


class SeedPerTrial(BaseSampler):
    """Sampler that is built again for each trial, with a seed from that of the study and the number of the trial.

    Processes that share a study, or that resume it, would otherwise repeat the random numbers of the first ones.

    Args:
        build: function that builds a sampler with a seed.
        seed: seed of the study.
    """

    def __init__(self, build: Callable[[int], BaseSampler], seed: int) -> None:
        self._build = build
        self._seed = seed
        self._sampler = build(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        digest = hashlib.sha256(f"{self._seed} {trial.number}".encode()).digest()
        self._sampler = self._build(int.from_bytes(digest[:4], "big"))
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._sampler.after_trial(study, trial, state, values)


class UnusedCombinations(BaseSampler):
    """First combination of a grid, in random order, that no trial of the study has.

    Optuna's ``GridSampler`` leaves out the combinations of interrupted trials.

    Args:
        grid: values by parameter.
        seed: seed of the order.
    """

    def __init__(self, grid: Mapping[str, Sequence[Any]], seed: int) -> None:
        self.combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
        random.Random(seed).shuffle(self.combinations)
        self._chosen = self.combinations[0]

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        others = study.get_trials(deepcopy=False)
        used = [other.params for other in others if counts(other) and other.number != trial.number]
        self._chosen = next((values for values in self.combinations if values not in used), self.combinations[0])

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._chosen[param_name]
