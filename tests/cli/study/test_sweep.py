"""Loop of a study with jobs that write records instead of training, and runs through the front door."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import optuna
import pytest
import yaml
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler

from nas.cli.overrides.hydra_internals import SweptValues
from nas.cli.run_dir.job_record import JobRecord
from nas.cli.study.options import RESULT, StudyOptions
from nas.cli.study.results import write_results
from nas.cli.study.search_space import SearchSpace
from nas.cli.study.shared_study import SharedStudy, open_storage
from nas.cli.study.sweep import Jobs, StudySweep
from nas.cli.study.trial_state import name_of
from nas.utils.directory_lock import DirectoryLock
from nas.utils.errors import NasError
from tests.support.compose_tools import ROOT
from tests.support.error_tools import SEARCH, run

SPACE = SearchSpace(["seed=0"], [SweptValues("x", (), (0.0, 1.0))])
SMALL = [a for a in SEARCH if not a.startswith("epochs")]
SMALL += ["method=gdas", "threads=1", "~callbacks.cell_plots", "~callbacks.benchmark"]
OPTUNA = ("-m", "hydra/sweeper=optuna", "method.arch_step.optimizer.lr=tag(log,interval(1e-4,1e-2))")

Outcome = dict[str, Any] | None


class FakeLauncher:
    """Launcher whose jobs write the record that ``outcome`` returns for their number and parameter.

    None is a job that does not start, and a record without ``ended`` one whose process was killed.
    """

    def __init__(self, directory: Path, outcome: Callable[[int, float], Outcome]) -> None:
        self.directory, self.outcome = directory, outcome
        self.batches: list[int] = []

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> None:
        self.batches.append(len(job_overrides))
        killed = False
        for number, lines in enumerate(job_overrides, initial_job_idx):
            (x,) = (float(line.partition("=")[2]) for line in lines if line.startswith("x="))
            found = self.outcome(number, x)
            if found is None:
                raise RuntimeError("the launcher cannot start")
            folder = self.directory / str(number)
            summary = found.pop("summary", None)
            if summary is not None:
                folder.mkdir()
                (folder / "summary.json").write_text(json.dumps(summary))
            killed = killed or not found.get("ended", True)
            JobRecord(number, str(folder), (f"x={x}",), **{"ended": True, **found}).save(self.directory)
        if killed:
            raise RuntimeError("a worker was killed")


def sweep_of(
    tmp_path: Path, outcome: Callable[[int, float], Outcome], trials: int = 6, jobs: int = 1, **more: Any
) -> tuple[StudySweep, SharedStudy, StudyOptions, FakeLauncher]:
    given = {"objectives": (RESULT,), "directions": ("maximize",)} | more
    options = StudyOptions(
        trials, jobs, monitor=None, file=tmp_path / "study.log", name="nas", seed=0, sampler={}, pruner={}, **given
    )
    study = SharedStudy(options, SPACE.distributions(), RandomSampler(seed=0), NopPruner())
    launcher = FakeLauncher(tmp_path, outcome)
    found = Jobs(cast(Any, launcher), lambda overrides: None, tmp_path)
    return StudySweep(study, options, SPACE, found), study, options, launcher


def test_results_name_the_best_trial(tmp_path: Path) -> None:
    def outcome(number: int, x: float) -> Outcome:
        if number == 1:
            return {"failure": "no luck"}
        return {"pruned": "after epoch 2"} if number == 3 else {"value": -((x - 0.3) ** 2)}

    with DirectoryLock(tmp_path, "sweep"):
        sweep, study, options, launcher = sweep_of(tmp_path, outcome, trials=7, jobs=3)
        sweep.run()
        sweep.close()
        write_results(study, options, tmp_path)
    assert launcher.batches == [3, 3, 1]
    found = yaml.safe_load((tmp_path / "optimization_results.yaml").read_text())
    with (tmp_path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["complete", "failed", "complete", "pruned", *["complete"] * 3]
    best = min((row for row in rows if row["state"] == "complete"), key=lambda row: abs(float(row["x"]) - 0.3))
    assert found["best_params"] == {"x": float(best["x"])} and found["trial"] == int(best["trial"])
    assert found["best_value"] == float(best["result"])
    assert found["trials"] == {"complete": 5, "failed": 1, "pruned": 1}
    assert rows[1]["failure"] == "no luck" and rows[3]["failure"] == "after epoch 2"


def test_several_objectives_give_the_pareto_front(tmp_path: Path) -> None:
    def outcome(number: int, x: float) -> Outcome:
        accuracy = x if number % 2 else x - 0.5
        return {"summary": {"mode": "search", "val_accuracy": accuracy, "macs": 100 * x}}

    two = {"objectives": ("val_accuracy", "macs"), "directions": ("maximize", "minimize")}
    with DirectoryLock(tmp_path, "sweep"):
        sweep, study, options, _ = sweep_of(tmp_path, outcome, trials=9, **two)
        sweep.run()
        write_results(study, options, tmp_path)
    with (tmp_path / "trials.csv").open() as file:
        values = [(float(row["val_accuracy"]), float(row["macs"])) for row in csv.DictReader(file)]
    front = [v for v in values if not any(o[0] >= v[0] and o[1] <= v[1] and o != v for o in values)]
    found = yaml.safe_load((tmp_path / "optimization_results.yaml").read_text())
    assert [tuple(solution["values"]) for solution in found["solutions"]] == sorted(front)
    assert 1 < len(front) < 9 and (tmp_path / "pareto.png").stat().st_size > 1000


def test_killed_worker_costs_its_trials(tmp_path: Path) -> None:
    def outcome(number: int, x: float) -> Outcome:
        return {"ended": False} if number == 1 else {"value": x}

    with DirectoryLock(tmp_path, "sweep"):
        sweep, study, *_ = sweep_of(tmp_path, outcome, trials=4, jobs=2)
        sweep.run()
    assert [name_of(trial) for trial in study.finished()] == ["complete", "failed", "complete", "complete"]
    assert "did not end" in study.finished()[1].user_attrs["failure"]


def test_error_of_a_launcher_ends_the_sweep_and_interrupts_its_trials(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path, "sweep"):
        sweep, study, *_ = sweep_of(tmp_path, lambda number, x: None if number else {"value": x})
        with pytest.raises(RuntimeError, match="cannot start"):
            sweep.run()
        sweep.close()
    assert [name_of(trial) for trial in study.finished()] == ["complete", "interrupted"]


@pytest.mark.parametrize("value", [float("nan"), None])
def test_job_without_a_value_fails(value: float | None, tmp_path: Path) -> None:
    with DirectoryLock(tmp_path, "sweep"):
        sweep, study, *_ = sweep_of(tmp_path, lambda number, x: {"value": value if number else 1.0}, trials=2)
        sweep.run()
    assert [name_of(trial) for trial in study.finished()] == ["complete", "failed"]


def test_failure_of_all_first_trials_ends_the_sweep(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path, "sweep"):
        sweep, study, *_ = sweep_of(tmp_path, lambda number, x: {"failure": "no data"}, trials=99)
        with pytest.raises(NasError, match=r"the first 8 trials failed \(no data\)"):
            sweep.run()
    assert len(study.finished()) == 8


def test_unknown_objective_is_one_line(tmp_path: Path) -> None:
    summary = {"mode": "search", "val_accuracy": 1.0, "macs": 2, "genotype": "x"}
    more = {"objectives": ("mac",), "directions": ("minimize",)}
    with DirectoryLock(tmp_path, "sweep"):
        sweep, *_ = sweep_of(tmp_path, lambda number, x: {"summary": summary}, **more)
        with pytest.raises(NasError, match="objective=mac: .* Use one of macs, val_accuracy"):
            sweep.run()


def test_sweep_of_two_objectives_runs(tmp_path: Path) -> None:
    """One trial fails, and a second command has nothing left to run."""
    small = [a for a in SMALL if a != "dataset.batch_size=16"]
    given = ("-m", "hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "dataset.batch_size=16,100000", *small)
    given += (
        "epochs=1",
        "hydra.sweeper.objective=[val_accuracy,macs]",
        f"hydra.sweeper.storage={tmp_path}/s/study.log",
    )
    found = run("search", *given, f"hydra.sweep.dir={tmp_path}/a")
    assert "Pareto front" in found.said and "1 complete, 1 failed" in found.said and found.code == 1
    rows = list(csv.DictReader((tmp_path / "a" / "sweep.csv").open()))
    assert sum(bool(row["failure"]) for row in rows) == 1 and len(rows) == 2
    assert "hydra.sweeper.trial" not in found.said
    assert (tmp_path / "a" / "pareto.png").is_file()
    again = run("search", *given, f"hydra.sweep.dir={tmp_path}/b")
    assert again.code == 0 and "Launching" not in again.said and "Pareto front" in again.said


@pytest.mark.slow
def test_trials_are_pruned_by_their_epochs(tmp_path: Path) -> None:
    more = ("epochs=3", "seed=0,1", "hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=2")
    found = run("search", *OPTUNA, *SMALL, *more, "hydra.sweeper.n_trials=6", f"hydra.sweep.dir={tmp_path}")
    assert found.code == 0, found.erred
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    states = [row["state"] for row in rows]
    assert len(states) == 6 and set(states) == {"complete", "pruned"} and states[:2] == ["complete"] * 2
    table = list(csv.DictReader((tmp_path / "sweep.csv").open()))
    for row, job in zip(rows, table, strict=True):
        pruned = row["state"] == "pruned"
        assert (int(row["epochs"]) < 3 or not pruned) and bool(job["pruned"]) == pruned == (not job["val_accuracy"])
        assert (tmp_path / row["trial"] / "summary.json").exists() is not pruned
    assert "best           result" in found.said and not list(tmp_path.glob("*/failure.txt"))


def test_epochs_of_a_black_box_search_are_reported(tmp_path: Path) -> None:
    search = [
        *SEARCH[:-1],
        "method=random_search",
        "proxy=params",
        "method.budget={queries:4}",
        "~callbacks.cell_plots",
    ]
    study = ["-m", "hydra/sweeper=optuna", "hydra/sweeper/pruner=median", "hydra.sweeper.n_trials=1", "seed=0,1"]
    run("search", *search, *study, f"hydra.sweep.dir={tmp_path}").succeeded()
    (trial,) = optuna.load_study(study_name=None, storage=open_storage(tmp_path / "study.log")).trials
    history = [json.loads(line) for line in (tmp_path / "0" / "history.jsonl").read_text().splitlines()]
    assert len(history) > 1
    assert trial.intermediate_values == {row["epoch"] + 1: pytest.approx(row["query/best"]) for row in history}


def start(tmp_path: Path, name: str, trials: int) -> subprocess.Popen[bytes]:
    given = [*OPTUNA, *SMALL, "epochs=1", "hydra.sweeper.storage=study.log", f"hydra.sweeper.n_trials={trials}"]
    command = [sys.executable, str(ROOT / "search.py"), *given, f"hydra.sweep.dir={tmp_path}/{name}"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_two_processes_share_a_study_and_a_kill_costs_one_trial(tmp_path: Path) -> None:
    killed, other = start(tmp_path, "a", 6), start(tmp_path, "b", 6)
    deadline = time.monotonic() + 240
    while not (tmp_path / "a" / ".jobs" / "0.json").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert other.wait(timeout=240) == 0
    rows = list(csv.DictReader((tmp_path / "b" / "trials.csv").open()))
    states = [row["state"] for row in rows]
    assert states.count("complete") == 6 and len(states) - 6 == states.count("interrupted") <= 1
    assert len({row["method.arch_step.optimizer.lr"] for row in rows}) == len(rows)
    assert start(tmp_path, "c", 7).wait(timeout=240) == 0  # the same command resumes the study
    states = [row["state"] for row in csv.DictReader((tmp_path / "c" / "trials.csv").open())]
    assert states.count("complete") == 7
