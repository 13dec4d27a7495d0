"""Mistakes in the options of a study: one line before the first trial."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from nas.cli.main import prepare
from nas.utils.errors import NasError

INTERVAL = "method.arch_step.optimizer.lr=interval(1e-4,1e-2)"
QUERIES = ("method=random_search", "proxy=params", "space.channels=interval(4,8)", "hydra/sweeper/pruner=median")


def refused(tmp_path: Path, *arguments: str) -> str:
    with pytest.raises(NasError) as error:
        prepare("search", ["-m", f"hydra.sweep.dir={tmp_path}/sweep", *arguments])
    assert not (tmp_path / "sweep").exists()
    return str(error.value)


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["seed=0"], "no value is searched"),
        ([INTERVAL, "hydra.sweeper.n_jobs=2"], "basic launcher runs one job at a time"),
        ([INTERVAL, "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials=0: use a whole number from 1"),
        ([INTERVAL, "hydra.sweeper.n_trials=null"], "hydra.sweeper.n_trials=null: it takes a whole number"),
        ([INTERVAL, "hydra.sweeper.direction=up"], "use maximize or minimize"),
        ([INTERVAL, "hydra.sweeper.objective=[a,b]", "hydra.sweeper.direction=maximize"], "1 directions for 2"),
        ([INTERVAL, "hydra.sweeper.objective=[a,b]", "hydra/sweeper/pruner=median"], "one objective only"),
        ([INTERVAL, "hydra.sweeper.storage='sqlite:///x.db'"], "give a journal file"),
        ([INTERVAL, "hydra.sweeper.storage=/tmp"], "is a directory"),
        ([INTERVAL, "hydra/sweeper/sampler=grid"], "is an interval"),
        ([INTERVAL, "hydra/sweeper/pruner=median", "hydra.sweeper.monitor=val/loss"], "would maximize it"),
        ([INTERVAL, "hydra/sweeper/pruner=median", "hydra.sweeper.objective=macs"], "would minimize the result"),
        ([*QUERIES, "method.repetitions=3"], "jobs with method.repetitions=3 have no epochs"),
        ([*QUERIES, "seeds=[0,1]"], "seeds=[0,1]: -m runs one job for each seed"),
        (["method=darts,gdsa"], "did you mean 'gdas'"),
        (["hydra.sweeper.params={method.arch_stp.lr:'interval(0,1)'}"], "arch_stp"),
        (["method.arch_step.optimizer.lr=tag(x,interval(0,1))"], "the tag x is unknown"),
    ],
)
def test_mistake_is_one_line(arguments: list[str], phrase: str, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    assert phrase in refused(tmp_path, "hydra/sweeper=optuna", *arguments)


def test_interval_needs_optuna(tmp_path: Path) -> None:
    assert "an interval needs hydra/sweeper=optuna" in refused(tmp_path, INTERVAL)


@pytest.mark.parametrize(("package", "more"), [("optuna", []), ("cmaes", ["hydra/sweeper/sampler=cma_es"])])
def test_missing_package_is_named_with_its_extra(
    package: str, more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == package else found(name, *rest)
    )
    error = refused(tmp_path, "hydra/sweeper=optuna", INTERVAL, *more)
    assert "is not installed. Run pip install 'nas-compose[optuna]'" in error


@pytest.mark.parametrize(
    ("arguments", "directions"),
    [
        ([], ("maximize",)),
        (["hydra.sweeper.objective=[val_accuracy,macs,test_loss]"], ("maximize", "minimize", "minimize")),
        (["space=recurrent", "dataset=text_synthetic"], ("minimize",)),
        (["hydra.sweeper.direction=minimize"], ("minimize",)),
    ],
)
def test_direction_follows_from_the_objective(
    arguments: list[str], directions: tuple[str, ...], tmp_path: Path
) -> None:
    pytest.importorskip("optuna")
    from nas.cli.study.options import read_options

    given = ["-m", "method=darts", "hydra/sweeper=optuna", INTERVAL, *arguments, f"hydra.sweep.dir={tmp_path}/s"]
    plan = prepare("search", given).plan
    assert plan is not None
    assert read_options(plan.cfg).directions == directions
    assert read_options(plan.cfg).file == tmp_path / "s" / "study.log"
