"""Repeated black-box searches: equal to single searches, and their averages."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from unittest import mock

import pytest
import torch

from nas.blackbox.ask_tell import Budget
from nas.spaces.genotype_file import load_genotype
from tests.support.compose_tools import lines
from tests.support.error_tools import run
from tests.support.query_tools import COMMAND, FORMULA, Formula, run_by_hand


def test_repetitions_equal_single_searches(tmp_path: Path) -> None:
    arguments = [*COMMAND, "method.budget.seconds=600", "seed=5"]
    found = run("search", *arguments, "method.repetitions=12", f"hydra.run.dir={tmp_path}/many")
    found.succeeded()
    rows = lines(tmp_path / "many" / "repetitions.jsonl")
    assert [row["seed"] for row in rows] == list(range(5, 17))
    truths = [run_by_hand(Budget(seconds=600), seed) for seed in range(5, 17)]
    assert [row["value"] for row in rows] == [t.best.value for t in truths if t.best]
    assert [(row["queries"], row["spent"]) for row in rows] == [(len(t.history), t.spent) for t in truths]
    run("search", *arguments, f"hydra.run.dir={tmp_path}/one").succeeded()
    one = json.loads((tmp_path / "one" / "summary.json").read_text())
    assert (one["value"], one["fact"], one["queries"]) == (rows[0]["value"], rows[0]["fact"], rows[0]["queries"])
    table = {row["name"]: row for row in csv.DictReader((tmp_path / "many" / "table.csv").open())}
    facts = torch.tensor([row["fact"] for row in rows], dtype=torch.float64)
    assert float(table["fact"]["mean"]) == pytest.approx(float(facts.mean()), rel=1e-5) and table["fact"]["n"] == "12"
    assert float(table["fact"]["std"]) == pytest.approx(float(facts.std()), rel=1e-5)
    best = max((t.best for t in truths if t.best), key=lambda query: query.value)
    assert load_genotype(tmp_path / "many") == best.genotype
    for name in ("anytime.png", "cell.png", "anytime.csv", "summary.json"):
        assert (tmp_path / "many" / name).exists()
    run("search", *arguments, f"hydra.run.dir={tmp_path}/many").refused("holds a finished run")


@pytest.mark.parametrize("failing", [0, 1])
def test_failed_repetition_ends_the_run_in_one_line(failing: int, tmp_path: Path) -> None:
    """A finished repetition makes the run resumable; the advice of the line shows the traceback."""

    def fail(self: Formula, seed: int) -> None:
        if seed == failing:
            raise ZeroDivisionError("no value")

    arguments = [*COMMAND, "method.repetitions=2", "method.budget.queries=2"]
    with mock.patch.object(Formula, "reset", fail):
        found = run("search", *arguments, "hydra.verbose=nas", f"hydra.run.dir={tmp_path}/r")
    line = f"error: method.repetitions: repetition {failing} failed twice (ZeroDivisionError: no value)."
    assert found.code == 1 and found.erred.startswith(line) and found.erred.count("\n") == 1
    assert (f"ckpt_path={tmp_path}/r" in found.erred) is (failing == 1) and "executor=serial" in found.erred
    assert "Traceback" in found.said, "of the evaluation, by hydra.verbose"
    if failing:
        run("search", f"ckpt_path={tmp_path}/r", *FORMULA).succeeded()
        assert [row["repetition"] for row in lines(tmp_path / "r" / "repetitions.jsonl")] == [0, 1]


def test_repetitions_average_values_that_some_lack(tmp_path: Path) -> None:
    """The deviation of a single value is null, since JSON has no NaN."""
    accuracies = iter([{"fact": 1.0, "rare": 2.0}])
    with mock.patch.object(Formula, "reported_accuracies", lambda self, genotype: next(accuracies, {"fact": 1.0})):
        more = ["method.repetitions=3", "method.budget.queries=1", f"hydra.run.dir={tmp_path}/r"]
        run("search", *COMMAND, *more).succeeded()

    def refuse(name: str) -> None:
        raise AssertionError(name)

    summary = json.loads((tmp_path / "r" / "summary.json").read_text(), parse_constant=refuse)
    assert summary["table"]["rare"] == {"n": 1, "mean": 2.0, "std": None}
    assert summary["table"]["fact"] == {"n": 3, "mean": 1.0, "std": 0.0}
