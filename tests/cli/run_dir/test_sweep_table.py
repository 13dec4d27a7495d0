"""Sweeps from the command line and their table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from nas.cli.run_dir.sweep_table import SweepTable
from tests.support.compose_tools import DATA, ROOT, script, small, succeeded

QUICK = [*DATA, *small("nas_bench_201"), "trainer.max_epochs=1"]


def jobs(directory: Path, count: int) -> tuple[list[Path], list[dict[str, str]]]:
    """Return the job directories of the only sweep in ``directory``, and the rows of its sweep.csv."""
    (table,) = directory.rglob("sweep.csv")
    found = sorted(path for path in table.parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    assert [path.name for path in found] == [str(number) for number in range(count)]
    with table.open(newline="") as file:
        return found, list(csv.DictReader(file))


def table(said: str) -> list[list[str]]:
    """Return the rows of the printed table, without the header."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if line.startswith("│")]


def assert_row_is_summary(row: dict[str, str], job: Path) -> None:
    summary = json.loads((job / "summary.json").read_text())
    assert row["job"] == job.name and row["failure"] == ""
    told = {key: value for key, value in row.items() if key not in ("job", "failure")}
    assert len(told) >= 8 and told == {key: str(summary[key]) for key in told}


def test_sweep_table_has_the_summary_of_each_job(tmp_path: Path) -> None:
    said = succeeded(script("search", "-m", "method=darts,gdas", "seed=0,1", *QUICK, cwd=tmp_path))
    found, rows = jobs(tmp_path, 4)
    for job, row in zip(found, rows, strict=True):
        assert_row_is_summary(row, job)
        assert {path.name for path in job.iterdir()} >= {".hydra", "checkpoints", "genotype.json", "history.jsonl"}
    assert [(row["method"], row["seed"]) for row in rows] == [(m, s) for m in ("darts", "gdas") for s in "01"]
    assert len({(job / "history.jsonl").read_text() for job in found}) == 4

    for row, cells in zip(rows, table(said), strict=True):
        assert cells[:2] == [row["job"], row["method"]] and cells[-1] == row["genotype"]


def test_sweep_table_shows_values_of_black_box_searches(tmp_path: Path) -> None:
    """A single search shows its value, repetitions show the mean of theirs."""
    command = ["method=random_search", "proxy=params", "method.budget.queries=2", *QUICK]
    succeeded(script("search", "-m", *command, "method.repetitions=1,3", cwd=tmp_path))
    found, rows = jobs(tmp_path, 2)
    assert rows[0]["value"] == str(json.loads((found[0] / "summary.json").read_text())["value"])
    values = [json.loads(line)["value"] for line in (found[1] / "repetitions.jsonl").read_text().splitlines()]
    assert len(values) == 3 and float(rows[1]["value"]) == pytest.approx(sum(values) / 3)
    assert "cifar10/test" not in rows[0]


def test_sweep_reports_a_failed_job_and_runs_the_others(tmp_path: Path) -> None:
    arguments = [part for part in QUICK if "batch_size" not in part]
    done = script("search", "-m", "dataset.batch_size=16,100000,8", *arguments, cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr + done.stdout
    found, rows = jobs(tmp_path, 3)
    for number in (0, 2):
        assert_row_is_summary(rows[number], found[number])
    assert "batch_size=100000" in rows[1]["failure"] and rows[1]["method"] == rows[1]["genotype"] == ""
    assert not (found[1] / "summary.json").exists()
    told = {cells[0]: cells[-1] for cells in table(done.stdout)}
    assert told["0"] == rows[0]["genotype"] and told["2"] == rows[2]["genotype"]
    assert told["1"] == f"failed: {rows[1]['failure']}"


@pytest.mark.parametrize(
    ("plugin", "launcher"),
    [
        ("hydra_joblib_launcher", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]),
        pytest.param("hydra_submitit_launcher", ["hydra/launcher=submitit_local"], marks=pytest.mark.slow),
    ],
)
def test_sweep_runs_under_other_launchers(plugin: str, launcher: list[str], tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip(f"hydra_plugins.{plugin}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # submitit's processes start elsewhere
    said = succeeded(script("search", "-m", *launcher, "seed=0,1", *QUICK, cwd=tmp_path))
    found, rows = jobs(tmp_path, 2)
    for job, row in zip(found, rows, strict=True):
        assert_row_is_summary(row, job)
    assert [cells[-1] for cells in table(said)] == [row["genotype"] for row in rows]
    assert [row["seed"] for row in rows] == ["0", "1"]


@pytest.mark.slow
def test_sweep_table_of_trainings(tmp_path: Path) -> None:
    nodes = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
    arguments = [*DATA, f"genotype='{nodes}'", "network.channels=4", "network.cells_per_stage=1", "epochs=1"]
    said = succeeded(script("train", "-m", "seed=0,1", *arguments, cwd=tmp_path))
    found, rows = jobs(tmp_path, 2)
    for job, row in zip(found, rows, strict=True):
        assert_row_is_summary(row, job)
        assert f"{float(row['test_accuracy']):.2f}" in said


def test_jobs_of_a_sweep_are_sorted_by_number(tmp_path: Path) -> None:
    """Job 10 comes after job 9, not after job 1; directories with other names come last."""
    names = [*map(str, range(12)), "extra"]
    for name in reversed(names):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(json.dumps({"mode": "search", "seed": 100}))
    SweepTable().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}, "mode": "search"}))
    with (tmp_path / "sweep.csv").open(newline="") as file:
        assert [row["job"] for row in csv.DictReader(file)] == names
