"""Sweeps from the command line and their table."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig

from nas.cli.main import prepare
from nas.cli.run_dir.job_record import JobRecord
from nas.cli.run_dir.layout import FAILURE_FILE
from nas.cli.run_dir.sweep_print import print_rows, short_names
from nas.cli.run_dir.sweep_table import COLUMNS, report_sweep
from nas.utils.errors import NasError
from tests.support.compose_tools import DATA, ROOT, script, small, succeeded
from tests.support.error_tools import run

pytestmark = pytest.mark.slow

QUICK = [*DATA, *small("nas_bench_201"), "trainer.max_epochs=1"]


def jobs(directory: Path, count: int) -> tuple[list[Path], list[dict[str, str]]]:
    """Return the job directories of the only sweep in ``directory``, and the rows of its sweep.csv."""
    (table,) = directory.rglob("sweep.csv")
    found = sorted(path for path in table.parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    assert [path.name for path in found] == [str(number) for number in range(count)]
    with table.open(newline="") as file:
        return found, list(csv.DictReader(file))


def table(said: str) -> list[list[str]]:
    """Return the rows of the printed tables, without their headers."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if line.startswith("│")]


def printed_width(said: str) -> int:
    """Return the length of the longest line from the first table on, without the command of the last line."""
    return max(len(line) for line in said[said.index("┏") :].splitlines() if not line.startswith("next "))


def assert_row_is_summary(row: dict[str, str], job: Path) -> None:
    summary = json.loads((job / "summary.json").read_text())
    assert row["job"] == job.name and row["failure"] == ""
    assert row["directory"] == str(job)
    told = {key: value for key, value in row.items() if key not in ("job", "failure", "directory") and "." not in key}
    assert len(told) >= 8 and told == {key: str(summary[key]) for key in told}


def test_sweep_table_has_the_summary_of_each_job(tmp_path: Path) -> None:
    said = succeeded(script("search", "-m", "method=darts,gdas", "seed=0,1", *QUICK, cwd=tmp_path))
    found, rows = jobs(tmp_path, 4)
    for job, row in zip(found, rows, strict=True):
        assert_row_is_summary(row, job)
        assert {path.name for path in job.iterdir()} >= {".hydra", "checkpoints", "genotype.json", "history.jsonl"}
    assert [(row["method"], row["seed"]) for row in rows] == [(m, s) for m in ("darts", "gdas") for s in "01"]
    assert len({(job / "history.jsonl").read_text() for job in found}) == 4

    printed = table(said)
    for row, cells in zip(rows, printed[:4], strict=True):
        assert cells[:4] == [row["job"], row["method"], row["seed"], f"{float(row['val_accuracy']):.2f}"]
    with (found[0].parent / "sweep_means.csv").open(newline="") as file:
        means = list(csv.DictReader(file))
    for method, mean, cells in zip(("darts", "gdas"), means, printed[4:], strict=True):
        values = [float(row["val_accuracy"]) for row in rows if row["method"] == method]
        assert (mean["method"], mean["n"]) == (method, "2")
        assert float(mean["val_accuracy mean"]) == pytest.approx(sum(values) / 2)
        assert float(mean["val_accuracy std"]) == pytest.approx(abs(values[0] - values[1]) / math.sqrt(2))
        spread = f"{float(mean['val_accuracy mean']):.2f} ± {float(mean['val_accuracy std']):.2f}"
        assert cells[:3] == [method, "2", spread]
    assert printed_width(said) <= 80


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
    assert [cells[1:3] for cells in table(done.stdout)] == [
        ["16", f"{float(rows[0]['val_accuracy']):.2f}"], ["100000", "failed"],
        ["8", f"{float(rows[2]['val_accuracy']):.2f}"],
    ]  # fmt: skip
    assert f"job 1 failed: {rows[1]['failure']}" in done.stdout
    assert [row["dataset.batch_size"] for row in rows] == ["16", "100000", "8"]


def test_sweep_survives_crashes_of_any_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nested job directories, swept overrides of equal last parts, and errors that are no known mistakes."""
    monkeypatch.setenv("COLUMNS", "80")
    crash = "+callbacks.crash._target_=tests.cli.run_dir.test_sweep_table.Crash"
    swept = ["method=gdas", "method.arch_step.optimizer.lr=1e-3,3e-4", "method.weight_step.optimizer.lr=0.1,0.2"]
    place = [f"hydra.sweep.dir={tmp_path}", "hydra.sweep.subdir=nested/${seed}/${hydra.job.num}", "seed=3"]
    quick = ["~callbacks.cell_plots", "~callbacks.benchmark"]
    found = run("search", "-m", *swept, *place, *QUICK, *quick, crash)
    assert found.code == 1 and "Traceback" not in found.erred + found.said
    with (tmp_path / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["failure"] for row in rows] == ["ValueError: no luck", "", "SystemExit: 3", ""]
    keys = ("method.arch_step.optimizer.lr", "method.weight_step.optimizer.lr")
    values = [("0.001", "0.1"), ("0.001", "0.2"), ("0.0003", "0.1"), ("0.0003", "0.2")]
    assert [tuple(row[key] for key in keys) for row in rows] == values
    for number, row in enumerate(rows):
        directory = tmp_path / "nested" / "3" / str(number)
        assert row["directory"] == str(directory)
        assert (directory / "summary.json").exists() is (row["failure"] == "")
        assert ("Traceback" in (directory / FAILURE_FILE).read_text()) if row["failure"] else row["genotype"]
    printed = [tuple(cells[1:3]) for cells in table(found.said)]
    assert printed == [(arch, weight) for arch, weight in values]
    assert "job 0 failed: ValueError: no luck\njob 2 failed: SystemExit: 3" in found.said
    assert printed_width(found.said) <= 80
    assert not (tmp_path / ".jobs").exists() and not (tmp_path / ".lock").exists()


class Crash(pl.Callback):
    """Raise an unknown error in job 0, and exit in job 2."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        number = HydraConfig.get().job.num
        if number == 0:
            raise ValueError("no\nluck")
        if number == 2:
            raise SystemExit(3)


def test_value_on_the_command_line_replaces_the_grid(tmp_path: Path) -> None:
    """Hydra itself runs the product of the grid's key and the same key with ++."""
    key = "method.weight_step.optimizer.lr"
    for line in (f"{key}=0.1", f"++{key}=0.1", f"{key}=0.1,0.2"):
        plan = prepare("search", ["-m", "hparams_search=darts_lr", line, f"hydra.sweep.dir={tmp_path}/sweep"]).plan
        assert plan is not None
        values = line.partition("=")[2].split(",")
        assert len(plan.jobs) == 3 * len(values)
        assert [job.overrides.count(f"{key}={value}") for job in plan.jobs for value in values].count(1) == len(
            plan.jobs
        )
        arch = {part for job in plan.jobs for part in job.overrides if part.startswith("method.arch_step")}
        assert arch == {f"method.arch_step.optimizer.lr={lr}" for lr in ("0.0001", "0.0003", "0.001")}


def test_rows_are_sorted_by_number(tmp_path: Path) -> None:
    """A job without a result has a row as well; of a value of several jobs, the title shows one."""
    numbers = [10, 9, 2, 100]
    planned = [JobRecord(number, str(tmp_path / f"x{number}"), (f"seed={number}", "a.b=1")) for number in numbers]
    for record in planned[:3]:
        replace(record, ended=record.number != 9).save(tmp_path)
        (tmp_path / f"x{record.number}").mkdir()
    (tmp_path / "x10" / "summary.json").write_text('{"mode": "train", "test_accuracy": 1.5, "space": "s"}')
    (tmp_path / "x10" / "failure.txt").write_text("an error of an earlier attempt")
    os.utime(tmp_path / "x10" / "failure.txt", (0, 0))
    (tmp_path / "x2" / "summary.json").write_text('{"mode": "train", "test_acc')
    assert not report_sweep(tmp_path, "train", planned)
    with (tmp_path / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["job"] for row in rows] == ["2", "9", "10", "100"] == [row["seed"] for row in rows]
    assert [row["test_accuracy"] for row in rows] == ["", "", "1.5", ""] and "a.b" not in rows[0]
    phrases = ("is damaged", "did not end", "", "not started")
    assert all(phrase in row["failure"] for phrase, row in zip(phrases, rows, strict=True))
    assert rows[2]["failure"] == ""


def test_table_is_printed_and_no_file_is_cut_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for number in (0, 1):
        JobRecord(number, str(tmp_path / str(number)), (f"seed={number}",), True, "it failed").save(tmp_path)
    monkeypatch.setattr("nas.utils.atomic_write.os.fsync", full)
    with pytest.raises(NasError, match=r"^hydra\.sweep\.dir: the table .* \(No space left on device\)\. The jobs keep"):
        report_sweep(tmp_path, "search")
    assert "job 1 failed: it failed" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == [".jobs"]


def test_short_names_tell_keys_apart() -> None:
    keys = ["method.arch_step.optimizer.lr", "method.weight_step.optimizer.lr", "seed", "space.channels"]
    expected = ["arch_step.\noptimizer.\nlr", "weight_step.\noptimizer.\nlr", "seed", "channels"]
    assert list(short_names(keys).values()) == expected
    assert short_names(["lr", "a.lr"]) == {"lr": "lr", "a.lr": "a.\nlr"}


@pytest.mark.parametrize("width", [80, 60, 200])
def test_printed_table_fits_the_width(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    columns = COLUMNS["search"]
    row = {"job": 0, "genotype": "x" * 90, **{name: 123456.789 for name in columns if name != "genotype"}}
    row |= {"a.b": "long value " * 9, "c": 1}
    print_rows([row, {**row, "failure": "m" * 300}], ["a.b", "c"], columns, "/a/very/long/path" * 9)
    printed = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in printed if line[0] in "┏│└") <= width
    head = " ".join(printed[2:6])
    assert "val" in head and ("parameters" in head) is (width == 200)
    assert any("failed" in line for line in printed if line.startswith("│"))


def test_sweep_table_prints_values_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither markup nor the names of pictures of rich have a meaning; a tab does not break the table."""
    values = ["[red]a", "[/]", ":x:", "a\tb"]
    print_rows([{"job": job, "c": value, "val_accuracy": 1.0} for job, value in enumerate(values)], ["c"], [], "t")
    assert [cells[1] for cells in table(capsys.readouterr().out)] == ["[red]a", "[/]", ":x:", "a b"]


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
    assert [cells[1] for cells in table(said)[:2]] == ["0", "1"]
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
