"""Searches by queries through the front door: what they leave, what they refuse, and that they go on after a kill."""

from __future__ import annotations

import csv
import json
import random
import signal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from nas.data.cifar import Cifar10
from nas.evaluation import Evaluation
from nas.files import load_genotype
from nas.spaces.nas_bench_201 import NasBench201
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.queries import Budget, Queries
from tests.compose_tools import CONF, DATA, QUERYING, choices, lines, script, small
from tests.error_tools import run
from tests.query_tools import Formula, value_of

QUICK = ["~callbacks.pictures", "logger=none"]
FORMULA = ["evaluator=benchmark", "evaluator._target_=tests.query_tools.Formula"]
COMMAND = ["method=regularized_evolution", "dataset=cifar10", *FORMULA]
KILL = "+callbacks.kill={{_target_:tests.compose_tools.KillOnce,flag:{flag},epoch:{epoch},batch:{batch}}}"


def by_hand(budget: Budget, seed: int = 0) -> Queries:
    """The same search without anything around it."""
    evaluator, space = Formula(), NasBench201((3, 32, 32), 10)
    queries = Queries(RegularizedEvolution(space), budget, random.Random(seed))
    evaluator.begin(seed)
    while queries.step(evaluator):
        pass
    return queries


def test_what_a_search_leaves(tmp_path: Path) -> None:
    """And that it reads no image: there is none."""
    with mock.patch.object(Cifar10, "setup", side_effect=AssertionError("images were read")):
        found = run("search", *COMMAND, "method.budget.seconds=700", "epochs=5", f"hydra.run.dir={tmp_path}/run")
    found.succeeded()
    directory, truth = tmp_path / "run", by_hand(Budget(seconds=700))
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
        ) and f"picture       {directory / name}" in found.said
    assert f"queries       {len(queries)} in {truth.spent:.0f} simulated s, ended by seconds" in found.said
    rows = list(csv.DictReader((directory / "anytime.csv").open()))
    assert {row["name"] for row in rows} == {"value", "fact", "fact regret"}
    assert float(rows[199]["mean"]) == pytest.approx(truth.best.value, rel=1e-5)
    torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)


def test_a_number_of_queries_is_shared_out_among_the_epochs(tmp_path: Path) -> None:
    run("search", *COMMAND, *QUICK, "method.budget.queries=10", "epochs=4", f"hydra.run.dir={tmp_path}/a").succeeded()
    assert [line["queries"] for line in lines(tmp_path / "a" / "history.jsonl")] == [3, 5, 8, 10]
    few = run("search", *COMMAND, *QUICK, "method.budget.queries=3", "epochs=30", f"hydra.run.dir={tmp_path}/b")
    few.succeeded()
    assert "anytime.png" in few.said and "cell.png" not in few.said, "QUICK draws no cell"
    assert [line["queries"] for line in lines(tmp_path / "b" / "history.jsonl")] == [1, 2, 3]


@pytest.mark.parametrize("limit", [pytest.param("queries=24", marks=pytest.mark.slow), "seconds=400"])
def test_a_killed_search_goes_on_bit_for_bit(limit: str, tmp_path: Path) -> None:
    arguments = [*COMMAND, f"method.budget.{limit}", "epochs=4"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run("search", *arguments, f"hydra.run.dir={whole}").succeeded()
    kill = KILL.format(flag=tmp_path / "killed", epoch=2, batch=1)
    killed = script("search", *arguments, f"hydra.run.dir={broken}", kill, cwd=tmp_path, env={"PYTHONPATH": "."})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = len(lines(broken / "queries.jsonl"))
    assert 0 < before < len(lines(whole / "queries.jsonl"))
    with (broken / "queries.jsonl").open("a") as file:
        file.write('{"query": 99, "cut off in the mid')
    found = run("search", f"ckpt_path={broken}")
    found.succeeded()
    assert "epoch 3/4" in found.said and "epoch 2/4" not in found.said
    for name in ("queries.jsonl", "genotype.json", "anytime.csv", "metrics.csv"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
    one, other = (torch.load(d / "checkpoints" / "last.ckpt", weights_only=True) for d in (whole, broken))
    assert one["queries"] == other["queries"] and one["queries"]["evaluator"]["draws"] > 0
    assert str(one["search"]["random"]) == str(other["search"]["random"])


@pytest.mark.slow
def test_a_checkpoint_of_other_options_is_refused(tmp_path: Path) -> None:
    run("search", *COMMAND, *QUICK, "method.budget.queries=20", "epochs=4", f"hydra.run.dir={tmp_path}/a").succeeded()
    more = [*QUICK, "method.budget.queries=30", f"ckpt_path={tmp_path}/a/checkpoints/last.ckpt", "epochs=6"]
    other = [*more, "method.strategy.population=5", f"hydra.run.dir={tmp_path}/b"]
    run("search", *COMMAND, *other).refused("query 5 of the checkpoint", "the options and the seed")
    run("search", *COMMAND, *more, f"hydra.run.dir={tmp_path}/c").succeeded()
    assert len(lines(tmp_path / "c" / "queries.jsonl")) == 30


REFUSED = {
    "method.budget.queries=0": ["budget.queries=0", "at least 1"],
    "method.budget.queries=-5": ["budget.queries=-5"],
    "method.budget.queries=2.5": ["method.budget.queries=2.5", "whole number"],
    "method.budget.seconds=0": ["budget.seconds=0", "above 0"],
    "method.budget.seconds=-1.5": ["budget.seconds=-1.5"],
    "method.budget.seconds=soon": ["method.budget.seconds=soon", "a number"],
    "method.budget.seconds=5": ["budget.seconds=5: the first query alone takes", "budget.queries"],
    "method.repetitions=0": ["repetitions=0", "at least 1"],
    "method.evaluator=null": ["method.evaluator=null", "evaluator=NAME"],
    "method.strategy.population=0": ["population=0"],
    "method.strategy.populatoin=5": ["method.strategy.populatoin", "method.strategy.population"],
    "budget.queries=5": ["budget.queries", "method.budget.queries"],
    "evaluator=benchmrk": ["unknown evaluator 'benchmrk'", "'benchmark'"],
    "evaluator=supernet": ["evaluator.run is missing", "method=one_shot"],
    "evaluator.network.channels=4": ["evaluator.network is null", "'evaluator.network={channels: VALUE}'"],
    "evaluator.network={chanels:4}": ["evaluator.network.chanels", "channels, cells_per_stage"],
    "evaluator.network={channels:four}": ["evaluator.network.channels=four", "a whole number"],
    "trainer.precision=16-mixed": ["trainer.precision=16-mixed", "in 32-true or bf16-mixed; float16's loss scaling"],
    "trainer.precision=64": ["trainer.precision=64-true", "in 32-true or bf16-mixed"],
    "trainer=ddp_cpu": ["the 2 processes of this trainer", "trainer=cpu"],
}


@pytest.mark.parametrize("argument", REFUSED)
def test_mistakes_end_in_one_line(argument: str, tmp_path: Path) -> None:
    arguments = [a for a in COMMAND if not a.startswith(argument.partition("=")[0])]
    if argument.startswith("evaluator"):
        arguments = [a for a in arguments if not a.startswith("evaluator")]
    run("search", *arguments, argument, f"hydra.run.dir={tmp_path}/r").refused(*REFUSED[argument])
    assert not (tmp_path / "r" / "summary.json").exists()


def test_the_benchmark_says_what_it_lacks(tmp_path: Path) -> None:
    command = ["method=random_search", "evaluator=benchmark", f"paths.data={tmp_path}"]
    run("search", *command, f"hydra.run.dir={tmp_path}/a").refused("not 'digits'", "dataset=cifar10")
    there = [*command, "dataset=cifar10", f"hydra.run.dir={tmp_path}/b"]
    run("search", *there).refused("there is no table of space 'nas_bench_201'", str(tmp_path))
    run("search", *there, "method.repetitions=3").refused("there is no table of space 'nas_bench_201'")
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists(), "nothing was written"
    elsewhere = [*there[:-1], f"paths.benchmark={tmp_path}/tables", f"hydra.run.dir={tmp_path}/c"]
    run("search", *elsewhere).refused(f"no table of space 'nas_bench_201' in {tmp_path}/tables")


def test_repetitions_do_not_pass_over_a_precision(tmp_path: Path) -> None:
    asked = ["trainer.precision=bf16-mixed", "method.repetitions=2", f"hydra.run.dir={tmp_path}/r"]
    run("search", *COMMAND, *asked).refused(
        "trainer.precision=bf16-mixed", "repetitions have no trainer", "method.repetitions=1"
    )


ASKED = {
    "evaluator.epochs=13": ["evaluator=benchmark: epochs=13: of cifar10 valid", "has trainings of 12, 200 epochs"],
    "evaluator.split=vald": ["unknown split of cifar10 'vald': did you mean 'valid'?"],
    "evaluator.trial=random": ["evaluator.trial=random: seed=each", "the mean over seeds alone"],
    "evaluator.epoch=12": ["evaluator.epoch", "evaluator.epochs"],
    "space=darts": ["there is no benchmark of space 'darts', only of nas_bench_201 and nats_size"],
}


@pytest.mark.data
@pytest.mark.parametrize("argument", ASKED)
def test_what_the_table_lacks_is_told_before_anything_is_written(argument: str, shared: Path, tmp_path: Path) -> None:
    command = ["method=random_search", "evaluator=benchmark", "dataset=cifar10", f"paths.benchmark={shared}/data"]
    run("search", *command, argument, f"hydra.run.dir={tmp_path}/r").refused(*ASKED[argument])
    assert not (tmp_path / "r").exists()


@pytest.mark.data
def test_jobs_of_a_sweep_tell_what_the_table_lacks_each_for_itself(shared: Path, tmp_path: Path) -> None:
    command = ["method=random_search", "evaluator=benchmark", "dataset=cifar10", f"paths.benchmark={shared}/data"]
    swept = [
        "-m",
        *QUICK,
        *command,
        "method.budget.queries=3",
        "evaluator.epochs=13,12",
        f"hydra.sweep.dir={tmp_path}/s",
    ]
    run("search", *swept)
    assert "epochs=13" in (tmp_path / "s/0/failure.txt").read_text()
    assert json.loads((tmp_path / "s/1/summary.json").read_text())["queries"] == 3


def test_a_fact_known_of_one_repetition_has_no_deviation(tmp_path: Path) -> None:
    """JSON has no NaN, and other programs than Python refuse it."""
    facts = iter([{"fact": 1.0, "rare": 2.0}])
    with mock.patch.object(Formula, "facts", lambda self, genotype: next(facts, {"fact": 1.0})):
        more = ["method.repetitions=3", "method.budget.queries=1", f"hydra.run.dir={tmp_path}/r"]
        run("search", *COMMAND, *more).succeeded()

    def strange(name: str) -> None:
        raise AssertionError(name)

    summary = json.loads((tmp_path / "r" / "summary.json").read_text(), parse_constant=strange)
    assert summary["table"]["rare"] == {"n": 1, "mean": 2.0, "std": None}
    assert summary["table"]["fact"] == {"n": 3, "mean": 1.0, "std": 0.0}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_repetitions_without_the_gpu_that_is_asked_for(tmp_path: Path) -> None:
    command = ["method=random_search", *small("nas_bench_201"), *DATA, "method.repetitions=2", "trainer=gpu"]
    run("search", *command, f"hydra.run.dir={tmp_path}/r").refused("finds no GPU here", "trainer=cpu")


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        (["score=naswot", "score.batch_size=0"], "naswot of a batch of 0: it is defined on at least 2 images"),
        (["score=jacob_cov", "score.batch_size=1"], "jacob_cov of a batch of 1"),
        (["score=snip", "score.batch_size=0"], "snip of a batch of 0: it is defined on at least 1 image"),
        (["score=linear_regions", "score.chunk=0"], "linear_regions: chunk=0"),
        (["score=zen", "score.repeats=0"], "zen: repeats=0"),
    ],
)
def test_scores_of_nothing_are_refused(options: list[str], phrase: str, tmp_path: Path) -> None:
    """An empty batch used to give a value, the same for every genotype."""
    command = ["method=random_search", *small("nas_bench_201"), *DATA, *options]
    run("search", *command, f"hydra.run.dir={tmp_path}/r").refused(phrase)


def test_repetitions_are_the_single_searches(tmp_path: Path) -> None:
    arguments = [*COMMAND, "method.budget.seconds=600", "seed=5"]
    found = run("search", *arguments, "method.repetitions=12", f"hydra.run.dir={tmp_path}/many")
    found.succeeded()
    rows = lines(tmp_path / "many" / "repetitions.jsonl")
    assert [row["seed"] for row in rows] == list(range(5, 17))
    truths = [by_hand(Budget(seconds=600), seed) for seed in range(5, 17)]
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


@pytest.mark.parametrize("evaluator", ["zero_cost", "training"])
def test_evaluators_on_images(evaluator: str, tmp_path: Path) -> None:
    network = "evaluator.network={channels:4,cells_per_stage:1}"
    command = [*QUICK, "method=local_search", *small("nas_bench_201"), *DATA, f"evaluator={evaluator}", network]
    run("search", *command, "method.budget.queries=4", f"hydra.run.dir={tmp_path}/r").succeeded()
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["queries"] == 4 and summary["query_seconds_are"] == "measured" and summary["query_seconds"] > 0


def test_a_trained_supernet_can_be_asked(tmp_path: Path) -> None:
    """The value is what the search over that supernet itself says of the genotype."""
    size = [*small("nas_bench_201"), *DATA]
    once = [*QUICK, "method=one_shot", "epochs=1", "method.schedules.0.final=3", f"hydra.run.dir={tmp_path}/net"]
    run("search", *once, *size).succeeded()
    ask = [*QUICK, "method=random_search", *size, "evaluator=supernet", "method.budget.queries=3"]
    run("search", *ask, f"evaluator.run={tmp_path}/net", f"hydra.run.dir={tmp_path}/r").succeeded()
    values = [line["value"] for line in lines(tmp_path / "r" / "queries.jsonl")]
    assert all(0 <= value <= 100 for value in values)
    wrong = {
        "evaluator.run=/nowhere": "there is no checkpoints/last.ckpt",
        f"evaluator.run={tmp_path}/r": "'random_search' has no supernet",
    }
    for number, (argument, phrase) in enumerate(wrong.items()):
        run("search", *ask, argument, f"hydra.run.dir={tmp_path}/w{number}").refused(phrase)
    other = ["method=random_search", *DATA, *small("darts"), "evaluator=supernet", f"evaluator.run={tmp_path}/net"]
    run("search", *other, f"hydra.run.dir={tmp_path}/w9").refused("it searched space 'nas_bench_201'")
    split = [*ask, f"evaluator.run={tmp_path}/net", "dataset.split=0.25", f"hydra.run.dir={tmp_path}/w6"]
    run("search", *split).refused("trained on dataset.split=halves", "dataset.split=0.25")
    digits = [a for a in ask if not a.startswith("dataset")] + ["dataset=digits", f"evaluator.run={tmp_path}/net"]
    run("search", *digits, f"hydra.run.dir={tmp_path}/w7").refused("trained on dataset=synthetic", "has digits")
    channels = [a for a in ask if not a.startswith("dataset.shape")] + ["dataset.shape=[1,8,8]"]
    run("search", *channels, f"evaluator.run={tmp_path}/net", f"hydra.run.dir={tmp_path}/w8").refused("does not fit")


def test_bohb_needs_optuna_for_its_model_alone(tmp_path: Path) -> None:
    with mock.patch.dict("sys.modules", {"optuna": None}):
        bohb = ["method=bohb", *COMMAND[1:], *QUICK, "method.budget.queries=30"]
        found = run("search", *bohb, "method.strategy.model=optuna", f"hydra.run.dir={tmp_path}/a")
        found.refused("strategy.model=optuna needs Optuna", "pip install 'nas-compose[bohb]'", "model=kernels")
        run("search", *bohb, f"hydra.run.dir={tmp_path}/b").succeeded()
    found = run("search", *bohb, "method.strategy.model=kernel", f"hydra.run.dir={tmp_path}/c")
    found.refused("unknown method.strategy.model 'kernel'", "kernels")


def test_values_that_are_no_numbers_do_not_stop_a_search(tmp_path: Path) -> None:
    def nothing(self: Formula, genotype: Any) -> Evaluation:
        return Evaluation(float("-inf"), 1.0)

    with mock.patch.object(Formula, "__call__", nothing):
        command = ["method=reinforce", *COMMAND[1:], "method.budget.queries=4", "epochs=2"]
        done = run("search", *command, f"hydra.run.dir={tmp_path}/r")
    done.succeeded()
    assert "value         none, " in done.said
    assert json.loads((tmp_path / "r" / "summary.json").read_text())["value"] is None
    assert {line["value"] for line in lines(tmp_path / "r" / "queries.jsonl")} == {None}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("method", ["random_search", "regularized_evolution", "reinforce", "bohb"])
def test_the_published_table(method: str, shared: Path, tmp_path: Path) -> None:
    """The means and standard deviations over 500 runs of 12,000 s that NAS-Bench-201 prints; here over 200."""
    published = {
        "regularized_evolution": (91.19, 0.31, 93.92, 0.30),
        "random_search": (90.93, 0.36, 93.70, 0.36),
        "reinforce": (91.09, 0.37, 93.85, 0.37),
        "bohb": (90.82, 0.53, 93.61, 0.52),
    }
    command = [f"experiment={method}_nas_bench_201_cifar10", f"paths.data={shared}/data", "method.repetitions=200"]
    run("search", *command, f"hydra.run.dir={tmp_path}/r").succeeded()
    table = json.loads((tmp_path / "r" / "summary.json").read_text())["table"]
    found = [table[f"cifar10/{split}"][what] for split in ("valid", "test") for what in ("mean", "std")]
    assert found == pytest.approx(published[method], abs=0.17)


def test_querying_methods_are_listed() -> None:
    texts = {method: (CONF / "method" / f"{method}.yaml").read_text() for method in choices("method")}
    found = {m for m, text in texts.items() if "QuerySearch" in text or "defaults: [random_search" in text}
    assert found == QUERYING
