"""Black-box searches by search.py: files, epochs, resume, evaluators, checks of the published values."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import yaml

from nas.blackbox.ask_tell import Budget
from nas.blackbox.evaluator import QueryResult
from nas.data.cifar import Cifar10
from nas.spaces.genotype_file import load_genotype
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.compose_tools import CONF, DATA, QUERYING, choices, lines, small
from tests.support.error_tools import run
from tests.support.query_tools import (
    COMMAND,
    FORMULA,
    QUICK,
    Formula,
    assert_same_queries,
    run_and_kill,
    run_by_hand,
    value_of,
)
from tests.support.resume_tools import metrics


def test_black_box_search_writes_files_without_reading_images(tmp_path: Path) -> None:
    with mock.patch.object(Cifar10, "setup", side_effect=AssertionError("images were read")):
        found = run("search", *COMMAND, "method.budget.seconds=700", "epochs=5", f"hydra.run.dir={tmp_path}/run")
    found.succeeded()
    directory, truth = tmp_path / "run", run_by_hand(Budget(seconds=700))
    assert truth.best is not None and load_genotype(directory) == truth.best.genotype
    queries, space = lines(directory / "queries.jsonl"), NasBench201((3, 32, 32), 10)
    assert [space.parse(line["genotype"]) for line in queries] == [q.genotype for q in truth.history]
    assert [(line["value"], line["seconds"]) for line in queries] == [q[1:3] for q in truth.history]
    assert queries[-1]["spent"] == pytest.approx(truth.spent) and truth.spent <= 700
    summary = json.loads((directory / "summary.json").read_text())
    assert (summary["value"], summary["queries"], summary["ended_by"]) == (truth.best.value, len(queries), "seconds")
    assert (summary["value_of"], summary["query_seconds_are"]) == ("formula", "simulated")
    assert summary["fact"] == value_of(truth.best.genotype, "fact") and summary["val_accuracy"] is None
    history = lines(directory / "history.jsonl")
    assert len(history) == 5 and [h["spent"] >= 140 * (i + 1) for i, h in enumerate(history[:-1])] == [True] * 4
    assert history[-1]["queries"] == len(queries) and f"{len(queries)} queries" in found.said
    for name in ("cell.png", "anytime.png"):
        assert (directory / name).read_bytes().startswith(
            b"\x89PNG"
        ) and f"picture        {directory / name}" in found.said
    assert (
        f"queries        {len(queries)} with {truth.spent:.0f} simulated s of evaluations, ended by seconds"
        in found.said
    )
    rows = list(csv.DictReader((directory / "anytime.csv").open()))
    assert {row["name"] for row in rows} == {"value", "fact", "fact regret"}
    assert float(rows[199]["mean"]) == pytest.approx(truth.best.value, rel=1e-5)
    torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)


def test_black_box_search_divides_queries_among_epochs(tmp_path: Path) -> None:
    run("search", *COMMAND, *QUICK, "method.budget.queries=10", "epochs=4", f"hydra.run.dir={tmp_path}/a").succeeded()
    assert [line["queries"] for line in lines(tmp_path / "a" / "history.jsonl")] == [3, 5, 8, 10]
    few = run("search", *COMMAND, *QUICK, "method.budget.queries=3", "epochs=30", f"hydra.run.dir={tmp_path}/b")
    few.succeeded()
    assert "anytime.png" in few.said and "cell.png" not in few.said, "QUICK plots no cell"
    assert [line["queries"] for line in lines(tmp_path / "b" / "history.jsonl")] == [1, 2, 3]


@pytest.mark.parametrize(
    "limit",
    [pytest.param("queries=24", id="queries", marks=pytest.mark.slow), pytest.param("seconds=400", id="seconds")],
)
def test_black_box_search_resumes_identically_after_kill(limit: str, tmp_path: Path) -> None:
    arguments = [*COMMAND, f"method.budget.{limit}", "epochs=4"]
    whole, broken = run_and_kill(arguments, tmp_path)
    before = len(lines(broken / "queries.jsonl"))
    assert 0 < before < len(lines(whole / "queries.jsonl"))
    with (broken / "queries.jsonl").open("a") as file:
        file.write('{"query": 99, "cut off in the mid')
    found = run("search", f"ckpt_path={broken}", *FORMULA, "~callbacks.kill")
    found.succeeded()
    assert "epoch 3/4" in found.said and "epoch 2/4" not in found.said
    assert_same_queries(whole, broken)
    assert metrics(whole) == metrics(broken)
    one, other = (torch.load(d / "checkpoints" / "last.ckpt", weights_only=True) for d in (whole, broken))
    assert one["queries"] == other["queries"] and one["queries"]["evaluator"]["calls"] > 0
    assert str(one["search"]["random"]) == str(other["search"]["random"])


@pytest.mark.parametrize(
    "space",
    [
        "trans_nas_bench_101_macro",
        *(
            pytest.param(space, marks=pytest.mark.slow)
            for space in ("nas_bench_101", "nas_bench_1shot1_3", "trans_nas_bench_101_micro")
        ),
    ],
)
def test_black_box_search_in_another_space_resumes_identically(space: str, tmp_path: Path) -> None:
    arguments = [*COMMAND, *QUICK, f"space={space}", "method.budget.queries=24", "epochs=4"]
    whole, broken = run_and_kill(arguments, tmp_path)
    run("search", f"ckpt_path={broken}", *FORMULA, "~callbacks.kill").succeeded()
    assert_same_queries(whole, broken)
    assert len(lines(broken / "queries.jsonl")) == 24 and metrics(whole) == metrics(broken)


@pytest.mark.slow
def test_black_box_search_refuses_checkpoint_of_other_options(tmp_path: Path) -> None:
    run("search", *COMMAND, *QUICK, "method.budget.queries=20", "epochs=4", f"hydra.run.dir={tmp_path}/a").succeeded()
    more = [*QUICK, "method.budget.queries=30", f"ckpt_path={tmp_path}/a/checkpoints/last.ckpt", "epochs=6"]
    other = [*more, "method.strategy.population=5", f"hydra.run.dir={tmp_path}/b"]
    run("search", *COMMAND, *other).refused(
        "method.strategy.population=5: the run of ckpt_path has 10", "leave out ckpt_path"
    )
    run("search", *COMMAND, *more, f"hydra.run.dir={tmp_path}/c").succeeded()
    assert len(lines(tmp_path / "c" / "queries.jsonl")) == 30


@pytest.mark.parametrize("evaluator", ["zero_cost", "training"])
def test_black_box_search_runs_with_evaluators_on_images(evaluator: str, tmp_path: Path) -> None:
    network = "evaluator.network={channels:4,cells_per_stage:1}"
    command = [*QUICK, "method=local_search", *small("nas_bench_201"), *DATA, f"evaluator={evaluator}", network]
    run("search", *command, "method.budget.queries=4", f"hydra.run.dir={tmp_path}/r").succeeded()
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["queries"] == 4 and summary["query_seconds_are"] == "measured" and summary["query_seconds"] > 0


def test_black_box_search_runs_with_trained_supernet(tmp_path: Path) -> None:
    size = [*small("nas_bench_201"), *DATA]
    once = [*QUICK, "method=one_shot", "epochs=1", "method.callbacks.0.final=3", f"hydra.run.dir={tmp_path}/net"]
    run("search", *once, *size).succeeded()
    ask = [*QUICK, "method=random_search", *size, "evaluator=supernet", "method.budget.queries=3"]
    run("search", *ask, f"evaluator.supernet_dir={tmp_path}/net", f"hydra.run.dir={tmp_path}/r").succeeded()
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["value_of"].endswith("of the network with channels=4 cells_per_stage=1")
    values = [line["value"] for line in lines(tmp_path / "r" / "queries.jsonl")]
    assert all(0 <= value <= 100 for value in values)
    wrong = {
        "evaluator.supernet_dir=/nowhere": "there is no checkpoints/last.ckpt",
        f"evaluator.supernet_dir={tmp_path}/r": "'random_search' has no supernet",
    }
    for number, (argument, phrase) in enumerate(wrong.items()):
        run("search", *ask, argument, f"hydra.run.dir={tmp_path}/w{number}").refused(phrase)
    net = f"evaluator.supernet_dir={tmp_path}/net"
    other = ["method=random_search", *DATA, *small("darts"), "evaluator=supernet", net]
    run("search", *other, f"hydra.run.dir={tmp_path}/w9").refused("its space is 'nas_bench_201'")
    split = [*ask, net, "dataset.split=0.25", f"hydra.run.dir={tmp_path}/w6"]
    run("search", *split).refused("trained on dataset.split=halves", "dataset.split=0.25")
    mean = [*ask, net, "dataset.mean=[0.4,0.5,0.5]", f"hydra.run.dir={tmp_path}/w5"]
    run("search", *mean).refused("trained with dataset.mean=0.5")
    digits = [*(a for a in ask if not a.startswith("dataset")), "dataset=digits", net]
    run("search", *digits, f"hydra.run.dir={tmp_path}/w7").refused("trained on dataset=synthetic", "has digits")
    channels = [a for a in ask if not a.startswith("dataset.shape")] + ["dataset.shape=[1,8,8]"]
    run("search", *channels, net, f"hydra.run.dir={tmp_path}/w8").refused("does not fit")


def test_bohb_needs_optuna_only_for_its_model(tmp_path: Path) -> None:
    with mock.patch.dict("sys.modules", {"optuna": None}):
        bohb = ["method=bohb", *COMMAND[1:], *QUICK, "method.budget.queries=30"]
        found = run("search", *bohb, "method.strategy.model=optuna", f"hydra.run.dir={tmp_path}/a")
        found.refused(
            "strategy.model=optuna: Optuna is not installed", "pip install 'nas-compose[bohb]'", "model=kernels"
        )
        run("search", *bohb, f"hydra.run.dir={tmp_path}/b").succeeded()
    found = run("search", *bohb, "method.strategy.model=kernel", f"hydra.run.dir={tmp_path}/c")
    found.refused("unknown method.strategy.model 'kernel'", "kernels")


def test_black_box_search_continues_without_finite_values(tmp_path: Path) -> None:
    def no_value(self: Formula, genotype: Any) -> QueryResult:
        return QueryResult(float("-inf"), 1.0)

    with mock.patch.object(Formula, "__call__", no_value):
        command = ["method=reinforce", *COMMAND[1:], "method.budget.queries=4", "epochs=2"]
        done = run("search", *command, f"hydra.run.dir={tmp_path}/r")
    done.succeeded()
    assert "value          none, " in done.said
    assert json.loads((tmp_path / "r" / "summary.json").read_text())["value"] is None
    assert {line["value"] for line in lines(tmp_path / "r" / "queries.jsonl")} == {None}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("method", ["random_search", "regularized_evolution", "reinforce", "bohb"])
def test_black_box_searches_reach_published_accuracies(method: str, shared: Path, tmp_path: Path) -> None:
    """Compare 200 runs of 12,000 s with the means and deviations over 500 runs published by NAS-Bench-201."""
    published = {
        "regularized_evolution": (91.19, 0.31, 93.92, 0.30),
        "random_search": (90.93, 0.36, 93.70, 0.36),
        "reinforce": (91.09, 0.37, 93.85, 0.37),
        "bohb": (90.82, 0.53, 93.61, 0.52),
    }
    command = [f"experiment={method}/nas_bench_201", f"paths.data={shared}/data", "method.repetitions=200"]
    run("search", *command, f"hydra.run.dir={tmp_path}/r").succeeded()
    table = json.loads((tmp_path / "r" / "summary.json").read_text())["table"]
    found = [table[f"cifar10/{split}"][what] for split in ("valid", "test") for what in ("mean", "std")]
    assert found == pytest.approx(published[method], abs=0.17)


def test_black_box_methods_are_listed_in_test_tools() -> None:
    texts = {method: (CONF / "method" / f"{method}.yaml").read_text() for method in choices("method")}
    found = {method for method, text in texts.items() if "BlackBoxSearch" in text}
    parents = {m: [d for d in yaml.safe_load(t).get("defaults", []) if isinstance(d, str)] for m, t in texts.items()}
    for _ in texts:  # a method may have the defaults of a method that has those of another one
        found |= {method for method, names in parents.items() if found & set(names)}
    assert found == QUERYING
