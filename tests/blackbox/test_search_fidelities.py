"""Black-box searches with several fidelities: resume, repetitions, trainings, refused options."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.compose_tools import DATA, lines, small
from tests.support.error_tools import run
from tests.support.query_tools import QUICK, FormulaWithFidelities, assert_same_queries, run_and_kill

BOHB = [
    *QUICK,
    "method=bohb",
    "dataset=cifar10",
    "evaluator=benchmark",
    "evaluator._target_=tests.support.query_tools.FormulaWithFidelities",
]


def test_search_with_fidelities_resumes_identically_after_kill(tmp_path: Path) -> None:
    arguments = [*BOHB[1:], "evaluator.fidelities=[1,3,9]", "method.budget.queries=30", "epochs=4"]
    whole, broken = run_and_kill(arguments, tmp_path)
    other = "evaluator.fidelities=[1,3,27]"
    run("search", f"ckpt_path={broken}", *BOHB[-1:], "~callbacks.kill", other).refused(
        "fidelities=[1, 3, 27]", "has [1, 3, 9]"
    )
    run("search", f"ckpt_path={broken}", *BOHB[-1:], "~callbacks.kill").succeeded()
    assert_same_queries(whole, broken)
    written = lines(whole / "queries.jsonl")
    space, truth = NasBench201((3, 32, 32), 10), FormulaWithFidelities([1, 3, 9])
    truth.reset(0)
    for line in written:
        assert truth(space.parse(line["genotype"]), line["fidelity"]) == (line["value"], line["seconds"])
    assert {line["fidelity"] for line in written} == {1, 3, 9}
    best = max((line for line in written if line["fidelity"] == 9), key=lambda line: line["value"])
    summary = json.loads((broken / "summary.json").read_text())
    assert (summary["genotype"], summary["value"], summary["fidelity"]) == (best["genotype"], best["value"], 9)


def test_repetitions_with_fidelities_equal_single_searches(tmp_path: Path) -> None:
    arguments = [*BOHB, "evaluator.fidelities=[1,3,9]", "method.budget.seconds=900", "seed=4"]
    single = run("search", *arguments, f"hydra.run.dir={tmp_path}/one")
    single.succeeded()
    assert re.search(r"s spent  best [\d.]+ after 9 epochs  ", single.said), single.said
    assert re.search(r"value +[\d.]+, formula at 9\n", single.said), single.said
    many = run("search", *arguments, "method.repetitions=3", f"hydra.run.dir={tmp_path}/many")
    many.succeeded()
    assert re.search(r"value +[\d.]+ .*formula at 9\n", many.said), many.said
    rows, one = lines(tmp_path / "many" / "repetitions.jsonl"), json.loads((tmp_path / "one/summary.json").read_text())
    assert {row["fidelity"] for row in rows} == {9}
    for key in ("genotype", "value", "queries", "fidelity"):
        assert rows[0][key] == one[key]
    assert one["value_of"] == json.loads((tmp_path / "many/summary.json").read_text())["value_of"] == "formula at 9"


def test_search_with_fidelities_trains_each_rung_longer(tmp_path: Path) -> None:
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
        (["evaluator.fidelities=[1,3]"], ["[1, 3]: 2 fidelities need 2 rungs, Bohb has 3", "rungs=2"]),
        (["evaluator.fidelities=[9,3,1]"], ["evaluator.fidelities=[9, 3, 1]", "increasing whole numbers"]),
        (["evaluator.fidelities=9"], ["evaluator.fidelities=9", "it takes a list"]),
        (["method=random_search", "evaluator.fidelities=[1,3,9]"], ["RandomSearch has 1", "method=bohb"]),
        (["evaluator=zero_cost", "evaluator.fidelities=[1,3,9]"], ["evaluator.fidelities"]),
        (["evaluator=zero_cost", "method.fidelities=[1,3,9]"], ["method.fidelities=[1, 3, 9]", "[]"]),
    ],
)
def test_search_refuses_wrong_fidelities_in_one_line(options: list[str], phrases: list[str], tmp_path: Path) -> None:
    taken = {option.partition("=")[0] for option in options}
    base = [a for a in BOHB if a.partition("=")[0] not in taken]
    if "evaluator" in taken:
        base = [a for a in base if not a.startswith("evaluator.")]
        base = [*(a for a in base if not a.startswith("dataset=")), *small("nas_bench_201"), *DATA]
    run("search", *base, *options, f"hydra.run.dir={tmp_path}/r").refused(*phrases)
    assert not (tmp_path / "r" / "queries.jsonl").exists(), "no query was made"
