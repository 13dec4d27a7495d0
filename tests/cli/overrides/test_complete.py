"""Sweeps over runs: each job inherits the data set of the run that it names."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.cli.overrides.complete import PER_JOB, complete_sweep
from tests.support.error_tools import NB201, TRAIN, run

MARK = f"+hydra.job.env_set.{PER_JOB}=1"
SMALL = ("network.channels=4", "network.cells_per_stage=1", "epochs=1", f"genotype={NB201}")
FEW = ("dataset.test_size=40", "dataset.classes=6", "dataset.mean=0.45", "seed=3")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the directories of a training on synthetic images of six classes, and of one on gray digits."""
    directory = tmp_path_factory.mktemp("runs")
    synthetic = [a for a in TRAIN if not a.startswith(("dataset.test_size", "network", "epochs"))]
    run("train", *synthetic, *FEW, *SMALL, f"hydra.run.dir={directory}/a").succeeded()
    run("train", "dataset=digits", *SMALL, f"hydra.run.dir={directory}/b").succeeded()
    return directory / "a", directory / "b"


def summary(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "summary.json").read_text())
    return found


def record(directory: Path) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return configuration, choices and overrides in Hydra's record of a job."""
    files = (directory / ".hydra" / f"{name}.yaml" for name in ("config", "hydra", "overrides"))
    cfg, hydra, overrides = (yaml.safe_load(file.read_text()) for file in files)
    return cfg, hydra["hydra"]["runtime"]["choices"], overrides


def test_complete_sweep_evaluates_each_run_on_its_own_data(runs: tuple[Path, Path], tmp_path: Path) -> None:
    """Accuracy and loss equal those of the training; the table and Hydra's record agree."""
    weights = ",".join(map(str, runs))
    done = run("train", "-m", "mode=eval", f"weights={weights}", "evaluation.runs=1", f"hydra.sweep.dir={tmp_path}")
    done.succeeded()
    with (tmp_path / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, (directory, row) in enumerate(zip(runs, rows, strict=True)):
        trained, found = summary(directory), summary(tmp_path / str(number))
        for key in ("test_accuracy", "test_loss"):
            assert found[key] == pytest.approx(trained[key], rel=1e-5), key
        for key in ("dataset", "seed", "genotype", "parameters"):
            assert found[key] == trained[key], key
        told = {key: value for key, value in row.items() if key in found}  # without the swept options of the data sets
        assert told.pop("weights") == str(directory), "a swept column holds the value of the command line"
        assert told == {key: str(found[key]) for key in told} and row["failure"] == ""
        assert {"test_accuracy", "test_top5_accuracy", "calibration_error", "images_per_second"} <= set(told)
        assert found["weights"] == str(directory / "model.pt")
        cfg, choices, overrides = record(tmp_path / str(number))
        trained_cfg, trained_choices, _ = record(directory)
        assert choices["dataset"] == trained_choices["dataset"] and f"dataset={choices['dataset']}" in overrides
        assert cfg["dataset"] == trained_cfg["dataset"] and cfg["seed"] == trained_cfg["seed"]


def test_complete_sweep_adds_shared_overrides_to_all_jobs(runs: tuple[Path, Path], tmp_path: Path) -> None:
    """Options of the shared data set can then be given; overrides that differ stay per job."""
    other = tmp_path / "other"
    more = ("dataset=synthetic", "dataset.shape=[3,8,8]", "dataset.size=64", "dataset.batch_size=16", "seed=4")
    run("train", *more, *SMALL, "dataset.classes=6", "dataset.test_size=24", f"hydra.run.dir={other}").succeeded()
    arguments = ["mode=eval", f"weights={runs[0]},{other}", "dataset.noise=0.5", "evaluation.runs=1"]
    run("train", "-m", *arguments, f"hydra.sweep.dir={tmp_path}/sweep").succeeded()
    found = [summary(tmp_path / "sweep" / job) for job in "01"]
    assert [(one["images"], one["seed"], one["mean"][0]) for one in found] == [(40, 3, 0.45), (24, 4, 0.5)]
    assert [record(tmp_path / "sweep" / job)[0]["dataset"]["noise"] for job in "01"] == [0.5, 0.5]


def test_complete_sweep_trains_each_genotype_on_the_data_of_its_search(tmp_path: Path) -> None:
    size = ("method=gdas", "space.channels=4", "space.cells_per_stage=1", "epochs=1")
    synthetic = [a for a in TRAIN if a.startswith("dataset")]
    run("search", *synthetic, *size, f"hydra.run.dir={tmp_path}/a").succeeded()
    run("search", "dataset=digits", "dataset.batch_size=128", *size, f"hydra.run.dir={tmp_path}/b").succeeded()
    arguments = [f"genotype={tmp_path}/a,{tmp_path}/b", *SMALL[:-1], f"hydra.sweep.dir={tmp_path}/sweep"]
    run("train", "-m", *arguments).succeeded()
    for job, dataset, shape in (("0", "synthetic", [3, 8, 8]), ("1", "digits", None)):
        assert summary(tmp_path / "sweep" / job)["dataset"] == dataset
        cfg, choices, overrides = record(tmp_path / "sweep" / job)
        assert choices["dataset"] == dataset and cfg["dataset"].get("shape") == shape
        assert not any(line.startswith("hydra") for line in overrides)


def test_complete_sweep_reports_a_failed_job_and_runs_the_other(runs: tuple[Path, Path], tmp_path: Path) -> None:
    arguments = ["mode=eval", f"weights=missing.pt,{runs[1]}", "evaluation.runs=1", f"hydra.sweep.dir={tmp_path}"]
    run("train", "-m", *arguments).refused("weights=missing.pt: no such file")
    assert summary(tmp_path / "1")["dataset"] == "digits"
    with (tmp_path / "sweep.csv").open(newline="") as file:
        assert [bool(row["failure"]) for row in csv.DictReader(file)] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["weights=a,b"], ["dataset=x", "seed=1", "weights=a,b"]),
        (["weights=a,c"], ["dataset=x", MARK, "weights=a,c"]),
        (["weights=a,d"], [MARK, "weights=a,d"]),
        (["weights=a,d", "dataset=y"], ["weights=a,d", "dataset=y"]),
        (["weights=a", "seed=0,1"], ["dataset=x", "weights=a", "seed=0,1"]),
        (["seed=0,1"], ["seed=0,1"]),
    ],
)
def test_complete_sweep_adds_shared_overrides_and_the_mark(arguments: list[str], expected: list[str]) -> None:
    """Runs a and b are equal; c has another seed, d another data set."""
    known = {
        "a": ["dataset=x", "seed=1"],
        "b": ["dataset=x", "seed=1"],
        "c": ["dataset=x", "seed=2"],
        "d": ["dataset=z"],
    }

    def complete(job: list[str]) -> list[str]:
        keys = [line.partition("=")[0] for line in job]
        if "dataset" in keys:
            return job
        found = next((known[line.partition("=")[2]] for line in job if line.startswith("weights")), [])
        return [*(line for line in found if line.partition("=")[0] not in keys), *job]

    assert complete_sweep(arguments, complete) == expected
