"""Predictor-guided searches by search.py: spaces, an interrupted run, repetitions, and the predictors."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from unittest import mock

import pytest

from tests.support.compose_tools import DATA, lines
from tests.support.error_tools import run
from tests.support.query_tools import COMMAND, FORMULA, QUICK, THREADS, Formula

TREES = ["predictor=boosted_trees", "predictor.members=1", "predictor.trees=5", "method.strategy.batch=2"]
ON_FORMULA = ["method=bananas", *COMMAND[1:], *QUICK, *TREES]


@pytest.mark.parametrize(("method", "space"), [("npenas", "darts"), ("bananas", "nats_size"), ("bananas", "mobile")])
def test_predictor_guided_search_runs_on_other_spaces(method: str, space: str, tmp_path: Path) -> None:
    command = [f"method={method}", f"space={space}", "dataset=cifar10", *FORMULA, *QUICK, *TREES]
    run("search", *command, "method.budget.queries=14", f"hydra.run.dir={tmp_path}/r").succeeded()
    assert len({line["genotype"] for line in lines(tmp_path / "r" / "queries.jsonl")}) == 14


def test_resumed_search_fits_the_same_predictors(tmp_path: Path) -> None:
    """The run ends by an error in its third epoch; the resumed one asks for the genotypes of an unbroken run."""
    command = [*ON_FORMULA, "method.budget.queries=24", "epochs=4"]
    run("search", *command, f"hydra.run.dir={tmp_path}/whole").succeeded()
    call = Formula.__call__

    def fail(self: Formula, genotype: object) -> object:
        if self.calls == 15:
            raise KeyboardInterrupt
        return call(self, genotype)  # type: ignore[arg-type]

    with mock.patch.object(Formula, "__call__", fail):
        run("search", *command, f"hydra.run.dir={tmp_path}/broken")
    run("search", f"ckpt_path={tmp_path}/broken", *FORMULA).succeeded()
    for name in ("queries.jsonl", "genotype.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "broken" / name).read_bytes(), name


def test_repetitions_in_threads_equal_those_in_order(tmp_path: Path) -> None:
    """Each repetition has its own predictor."""
    command = [*ON_FORMULA, "method.budget.queries=20", "method.repetitions=4"]
    run("search", *command, f"hydra.run.dir={tmp_path}/a").succeeded()
    run("search", *command, *THREADS, "executor.workers=2", f"hydra.run.dir={tmp_path}/b").succeeded()
    files = [(tmp_path / name / "repetitions.jsonl").read_text() for name in "ab"]
    assert files[0] == files[1] and len(set(files[0].splitlines())) == 4
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["method"] == "bananas"
    assert next(csv.reader((tmp_path / "a" / "table.csv").open())) == ["name", "n", "mean", "std"]


def test_botorch_predictor_runs_with_worker_processes(tmp_path: Path) -> None:
    pytest.importorskip("botorch")
    command = ["method=bananas", "space=nas_bench_201", *QUICK, *DATA, "evaluator=zero_cost", "proxy=params"]
    command += ["predictor=botorch_gp", "method.strategy.initial=4", "method.strategy.batch=2"]
    for name, executor in (("a", []), ("b", ["executor=processes", "executor.workers=2"])):
        more = [*executor, "method.budget.queries=8", f"hydra.run.dir={tmp_path}/{name}"]
        run("search", *command, *more).succeeded()
    found = [{line["genotype"] for line in lines(tmp_path / name / "queries.jsonl")} for name in "ab"]
    assert len(found[0]) == len(found[1]) == 8


def test_predictor_of_another_method_is_refused() -> None:
    run("search", "method=local_search", "predictor=random_forest").refused(
        "predictor=random_forest: method=local_search uses no predictor", "method=bananas"
    )
    run("search", "method=npenas", "predictor.trees=5").refused("predictor.trees")
    run("search", *ON_FORMULA[:1], "method.strategy.initial=1").refused("initial=1: use a whole number from 2")
