"""Samplers of shared and resumed studies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import TrialState

from nas.cli.overrides.hydra_internals import SweptValues
from nas.cli.study.options import StudyOptions
from nas.cli.study.samplers import SeedPerTrial, UnusedCombinations, build_sampler
from nas.cli.study.search_space import SearchSpace
from nas.cli.study.trial_state import INTERRUPTED

SPACE = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(1e-3, 1.0, log=True)}
OPTIONS = StudyOptions(5, 1, ("result",), ("maximize",), None, Path("study.log"), "nas", 0, {}, {})


def ask_and_tell(study: Any, count: int) -> list[dict[str, float]]:
    found = []
    for _ in range(count):
        trial = study.ask(SPACE)
        study.tell(trial, trial.params["x"] + trial.params["y"])
        found.append(trial.params)
    return found


@pytest.mark.parametrize("kind", [RandomSampler, TPESampler])
def test_resumed_study_equals_an_uninterrupted_one(kind: Any) -> None:
    def sampler() -> SeedPerTrial:
        return SeedPerTrial(lambda seed: kind(seed=seed), 3)

    whole = ask_and_tell(optuna.create_study(sampler=sampler()), 14)
    first = optuna.create_study(sampler=sampler())
    begun = ask_and_tell(first, 6)
    first.sampler = sampler()  # of another process
    assert begun + ask_and_tell(first, 8) == whole
    assert len({params["x"] for params in whole}) == 14
    other = optuna.create_study(sampler=SeedPerTrial(lambda seed: kind(seed=seed), 4))
    assert ask_and_tell(other, 1) != whole[:1]


def test_grid_repeats_interrupted_combinations_only() -> None:
    grid = {"a": ["u", "v"], "b": ["0", "1", "2"]}
    study = optuna.create_study(sampler=UnusedCombinations(grid, 0))
    space = {name: CategoricalDistribution(values) for name, values in grid.items()}
    found = []
    for number in range(7):
        trial = study.ask(space)
        if number == 2:
            trial.set_user_attr(INTERRUPTED, True)
        study.tell(trial, state=TrialState.FAIL if number in (1, 2) else None, values=None if number in (1, 2) else 1.0)
        found.append((trial.params["a"], trial.params["b"]))
    assert found[3] == found[2] and len(set(found)) == 6
    assert sorted(set(found)) == [(a, b) for a in "uv" for b in "012"]


@pytest.mark.parametrize("name", ["tpe", "random", "grid", "nsga_ii", "cma_es"])
def test_samplers_of_the_configuration_are_built(name: str) -> None:
    from omegaconf import OmegaConf

    from nas.cli.overrides.conf_dir import CONF

    if name == "cma_es":
        pytest.importorskip("cmaes")
    node: Any = OmegaConf.to_container(OmegaConf.load(CONF / "hydra" / "sweeper" / "sampler" / f"{name}.yaml"))
    space = SearchSpace((), [SweptValues("x", ("1", "2", "3"), (1, 3), 1), SweptValues("y", ("a", "b"))])
    study = optuna.create_study(sampler=build_sampler(replace(OPTIONS, sampler=node), space))
    for _ in range(4):
        trial = study.ask(space.distributions())
        study.tell(trial, float(trial.params["x"]))
    assert {trial.params["x"] for trial in study.trials} <= {1, 2, 3}
