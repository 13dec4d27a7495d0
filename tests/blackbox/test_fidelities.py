"""Rungs that train for longer: what is asked at which length, what it costs, what wins, and that it goes on."""

from __future__ import annotations

import json
import math
import random
import re
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.architecture.cell import Genotype
from nas.blackbox.evaluator import Evaluation, growing
from nas.blackbox.evaluators.benchmark import BenchmarkQuery
from nas.blackbox.evaluators.training import ShortTraining
from nas.blackbox.history import Budget, Queries
from nas.blackbox.strategies.bohb import Bohb
from nas.blackbox.strategies.random_search import RandomSearch
from nas.data.synthetic import Synthetic
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.blackbox.test_search import KILL, QUICK
from tests.support.compose_tools import DATA, lines, script, small
from tests.support.error_tools import run
from tests.support.query_tools import CHAIN, Lengths, Small, value_of

NB201 = NasBench201((3, 32, 32), 10)
BOHB = [
    *QUICK,
    "method=bohb",
    "dataset=cifar10",
    "evaluator=benchmark",
    "evaluator._target_=tests.support.query_tools.Lengths",
]


def at(genotype: Genotype, fidelity: int) -> Evaluation:
    """A value and seconds that follow from a genotype and a length."""
    return Evaluation(value_of(genotype, f"at {fidelity}"), float(fidelity))


def searched(budget: Budget, space: Any = NB201, cached: bool = False, evaluate: Any = at) -> Queries:
    queries = Queries(Bohb(space, rungs=3), budget, random.Random(0), cached, [1, 3, 9])
    while queries.step(evaluate):
        pass
    return queries


def test_each_rung_is_asked_and_paid_at_its_length() -> None:
    history = searched(Budget(queries=20)).history
    lengths = [1] * 9 + [3] * 3 + [9] + [3] * 3 + [9] + [9] * 3
    assert [query.fidelity for query in history] == lengths == [int(query.seconds) for query in history]
    assert all(query[1:3] == at(query.genotype, length) for query, length in zip(history, lengths, strict=True))
    first = sorted(history[:9], key=lambda query: -query.value)
    assert [query.genotype for query in history[9:12]] == [query.genotype for query in first[:3]]
    assert history[12].genotype == max(history[9:12], key=lambda query: query.value).genotype
    assert history[16].genotype == max(history[13:16], key=lambda query: query.value).genotype


@pytest.mark.parametrize(("seconds", "length"), [(8, 1), (15, 3), (60, 9)])
def test_the_best_is_that_of_the_longest_trainings(seconds: float, length: int) -> None:
    queries = searched(Budget(seconds=seconds))
    longest = [query for query in queries.history if query.fidelity == length]
    assert longest and length == max(query.fidelity or 0 for query in queries.history)
    assert queries.best == max(longest, key=lambda query: query.value)
    steps = [queries.history[number].rank for number in queries.incumbents]
    assert steps == sorted(set(steps)) and queries.spent <= seconds


def test_a_long_training_without_a_value_is_not_the_best() -> None:
    queries = searched(Budget(queries=13), evaluate=lambda g, n: Evaluation(math.nan, 1) if n == 9 else at(g, n))
    assert queries.best is not None and queries.best.fidelity == 3 and len(queries.history) == 13


def test_cached_searches_pay_for_each_length_once() -> None:
    space = Small(CHAIN)
    history = searched(Budget(queries=70), space, cached=True).history
    asked = [(query.genotype, query.fidelity) for query in history]
    assert len(set(asked)) == len(asked) == 70 and len({genotype for genotype, _ in asked}) < 64
    both = searched(Budget(queries=70), space).history
    assert len({(query.genotype, query.fidelity) for query in both}) < 70


@pytest.mark.parametrize("given", [[3, 1], [1, 1], [0, 2], [1.5, 2], [True, 2], "13", 5])
def test_lengths_that_do_not_grow_are_refused(given: Any) -> None:
    with pytest.raises(NasError, match=r"evaluator.fidelities=.*each above the one before"):
        growing(given)


def test_a_strategy_has_as_many_rungs_as_there_are_lengths() -> None:
    with pytest.raises(NasError, match=r"for 2 rungs, and Bohb has 3: .*rungs=2"):
        Queries(Bohb(NB201), Budget(), random.Random(0), fidelities=[12, 200])
    with pytest.raises(NasError, match=r"RandomSearch has 1: leave them out, or choose method=bohb"):
        Queries(RandomSearch(NB201), Budget(), random.Random(0), fidelities=[12, 200])


def test_a_training_of_a_fidelity_is_one_of_so_many_epochs() -> None:
    space = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1)
    data = Synthetic(shape=(3, 8, 8), size=96, test_size=16, batch_size=16, noise=0.4)
    sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    cosine = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=1)
    make = partial(ShortTraining, space, data, sgd, network={"channels": 4, "cells_per_stage": 1})
    several = make(scheduler=cosine, fidelities=[1, 2, 4])
    genotype = space.parse("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
    found = {length: several(genotype, length).value for length in (4, 1, 2)}
    for length, value in found.items():
        one = make(epochs=length, scheduler=partial(cosine, T_max=length))
        assert one(genotype).value == value
    assert len(set(found.values())) > 1
    step = partial(torch.optim.lr_scheduler.StepLR, step_size=1)
    with pytest.raises(
        NasError, match="evaluator.scheduler_epochs_arg=T_max: evaluator.scheduler takes no such argument"
    ):
        make(scheduler=step, fidelities=[1, 2])
    assert make(scheduler=step, scheduler_epochs_arg=None, fidelities=[1, 2])(genotype, 1).value >= 0


@pytest.mark.data
def test_the_table_is_asked_at_both_of_its_lengths(shared: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    row = pq.read_table(shared / "data" / "nas_bench_201" / "nb201.parquet").slice(77, 1).to_pylist()[0]
    root = str(shared / "data")
    evaluator, genotype = BenchmarkQuery(NB201, root=root, fidelities=[12, 200]), NB201.parse(row["arch_str"])
    for length in (12, 200):
        value, seconds = evaluator(genotype, length)
        assert math.isclose(value, row[f"cifar10valid_valid_acc_{length}"], rel_tol=1e-6)
        assert (value, seconds) == BenchmarkQuery(NB201, root=root, epochs=length)(genotype)
    assert evaluator.unit == evaluator.unit_at(None) == "cifar10 valid accuracy after 12 or 200 epochs (%)"
    assert evaluator.unit_at(200) == "cifar10 valid accuracy after 200 epochs (%)"
    with pytest.raises(NasError, match=r"evaluator.fidelities=\[12, 50\]: .*trainings of 12, 200 epochs"):
        BenchmarkQuery(NB201, root=root, fidelities=[12, 50])


def test_a_killed_search_of_several_lengths_goes_on_bit_for_bit(tmp_path: Path) -> None:
    arguments = [*BOHB[1:], "evaluator.fidelities=[1,3,9]", "method.budget.queries=30", "epochs=4"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run("search", *arguments, f"hydra.run.dir={whole}").succeeded()
    kill = KILL.format(flag=tmp_path / "killed", epoch=2, batch=1)
    killed = script("search", *arguments, f"hydra.run.dir={broken}", kill, cwd=tmp_path, env={"PYTHONPATH": "."})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    other = "evaluator.fidelities=[1,3,27]"
    run("search", f"ckpt_path={broken}", other).refused("started with evaluator.fidelities=[1, 3, 9]")
    run("search", f"ckpt_path={broken}").succeeded()
    for name in ("queries.jsonl", "genotype.json", "anytime.csv"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
    written = lines(whole / "queries.jsonl")
    space, truth = NB201, Lengths([1, 3, 9])
    truth.begin(0)
    for line in written:
        assert truth(space.parse(line["genotype"]), line["fidelity"]) == (line["value"], line["seconds"])
    assert {line["fidelity"] for line in written} == {1, 3, 9}
    best = max((line for line in written if line["fidelity"] == 9), key=lambda line: line["value"])
    summary = json.loads((broken / "summary.json").read_text())
    assert (summary["genotype"], summary["value"], summary["fidelity"]) == (best["genotype"], best["value"], 9)


def test_repetitions_of_several_lengths_are_the_single_searches(tmp_path: Path) -> None:
    arguments = [*BOHB, "evaluator.fidelities=[1,3,9]", "method.budget.seconds=900", "seed=4"]
    said = run("search", *arguments, f"hydra.run.dir={tmp_path}/one")
    said.succeeded()
    assert re.search(r"s spent  best [\d.]+ after 9 epochs  ", said.said), said.said
    assert re.search(r"value +[\d.]+, formula at 9\n", said.said), said.said
    many = run("search", *arguments, "method.repetitions=3", f"hydra.run.dir={tmp_path}/many")
    many.succeeded()
    assert "value: formula at 9 " in many.said, many.said
    rows, one = lines(tmp_path / "many" / "repetitions.jsonl"), json.loads((tmp_path / "one/summary.json").read_text())
    assert {row["fidelity"] for row in rows} == {9}
    for key in ("genotype", "value", "queries", "fidelity"):
        assert rows[0][key] == one[key]
    assert one["value_of"] == json.loads((tmp_path / "many/summary.json").read_text())["value_of"] == "formula at 9"


def test_trainings_of_growing_length(tmp_path: Path) -> None:
    network = "evaluator.network={channels:4,cells_per_stage:1}"
    command = [*QUICK, "method=bohb", *small("nas_bench_201"), *DATA, "evaluator=training", network]
    more = ["evaluator.fidelities=[1,2]", "method.strategy.rungs=2", "method.budget.queries=5"]
    run("search", *command, *more, f"hydra.run.dir={tmp_path}/r").succeeded()
    written = lines(tmp_path / "r" / "queries.jsonl")
    assert [line["fidelity"] for line in written] == [1, 1, 1, 2, 2]
    assert min(line["seconds"] for line in written) > 0


@pytest.mark.parametrize(
    ("options", "phrases"),
    [
        (["evaluator.fidelities=[1,3]"], ["[1, 3]: lengths of training for 2 rungs, and Bohb has 3", "rungs=2"]),
        (["evaluator.fidelities=[9,3,1]"], ["evaluator.fidelities=[9, 3, 1]", "each above the one before"]),
        (["evaluator.fidelities=9"], ["evaluator.fidelities=9", "such as [1,3,9]"]),
        (["method=random_search", "evaluator.fidelities=[1,3,9]"], ["RandomSearch has 1", "method=bohb"]),
        (["evaluator=zero_cost", "evaluator.fidelities=[1,3,9]"], ["evaluator.fidelities"]),
        (["evaluator=zero_cost", "method.fidelities=[1,3,9]"], ["method.fidelities=[1, 3, 9]", "[]"]),
    ],
)
def test_mistakes_about_lengths_are_one_line(options: list[str], phrases: list[str], tmp_path: Path) -> None:
    taken = {option.partition("=")[0] for option in options}
    base = [a for a in BOHB if a.partition("=")[0] not in taken]
    if "evaluator" in taken:
        base = [a for a in base if not a.startswith("evaluator.")]
        base = [*(a for a in base if not a.startswith("dataset=")), *small("nas_bench_201"), *DATA]
    run("search", *base, *options, f"hydra.run.dir={tmp_path}/r").refused(*phrases)
    assert not (tmp_path / "r" / "queries.jsonl").exists(), "nothing was asked"
