"""Trials in the tables of a sweep."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from nas.cli.run_dir.job_record import JobRecord
from nas.cli.run_dir.sweep_print import short_number
from nas.cli.run_dir.sweep_table import report_sweep
from nas.cli.run_dir.sweep_wandb import study_summary
from nas.cli.study.print_results import print_results


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.009591855525956993", "0.009592"),
        ("-1.2345678901e-05", "-1.235e-05"),
        ("0.025", "0.025"),
        ("123456789", "123456789"),
        ("darts_2nd_order", "darts_2nd_order"),
    ],
)
def test_long_numbers_are_short_in_the_table(text: str, expected: str) -> None:
    assert short_number(text) == expected


def test_pruned_job_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, seed in enumerate((0, 0, 1)):
        ended = {"pruned": "after epoch 2 with val/accuracy=9.5"} if number == 1 else {"value": 50.0}
        JobRecord(number, str(tmp_path / str(number)), (f"lr=0.{number}", f"seed={seed}"), True, **ended).save(tmp_path)
        if number != 1:
            (tmp_path / str(number)).mkdir()
            summary = {"mode": "search", "val_accuracy": 50.0 + number}
            (tmp_path / str(number) / "summary.json").write_text(json.dumps(summary))
    assert report_sweep(tmp_path, "search")
    with (tmp_path / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["pruned"] for row in rows] == ["", "after epoch 2 with val/accuracy=9.5", ""]
    assert not any(row["failure"] for row in rows)
    with (tmp_path / "sweep_means.csv").open(newline="") as file:
        assert [row["n"] for row in csv.DictReader(file)] == ["1", "0", "1"]
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert "pruned" in printed[1] and "failed" not in "".join(printed)


def test_best_trial_is_printed_and_in_the_summary_of_wandb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_results(tmp_path)
    assert capsys.readouterr().out == "" and study_summary(tmp_path) == {}
    found = {
        "objectives": {"result": "maximize"},
        "storage": "study.log",
        "trials": {"complete": 2},
        "best_value": 94.25,
        "best_params": {"method.lr": 0.0125, "space": "darts"},
        "trial": 1,
        "directory": "runs/1",
    }
    (tmp_path / "optimization_results.yaml").write_text(yaml.safe_dump(found))
    print_results(tmp_path)
    said = capsys.readouterr().out
    assert "best           result 94.25 (trial 1)" in said and "method.lr=0.0125 space=darts" in said
    assert study_summary(tmp_path) == {"best_value": 94.25, "best/method.lr": 0.0125, "best/space": "darts"}


def test_pareto_front_is_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    solutions = [{"values": [90.0, 5e6], "params": {"a.lr": 0.012345678901}, "trial": 3, "directory": "runs/3"}]
    found = {"objectives": {"val_accuracy": "maximize", "macs": "minimize"}, "storage": "s", "trials": {"complete": 1}}
    (tmp_path / "optimization_results.yaml").write_text(yaml.safe_dump({**found, "solutions": solutions}))
    print_results(tmp_path)
    said = capsys.readouterr().out
    assert all(text in said for text in ("Pareto front", "macs", "90", "5e+06", "0.01235"))
