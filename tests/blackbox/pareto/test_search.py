"""Pareto searches by search.py: files, selected genotype, resume, repetitions."""

from __future__ import annotations

import csv
import json
import math
import random
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from nas.blackbox.ask_tell import AskTellLoop, Query
from nas.blackbox.pareto.cost_sources import CostSources
from nas.blackbox.pareto.search import ParetoSearch, TrueFront
from nas.blackbox.strategies.nsga2 import Nsga2
from nas.spaces.genotype_file import load_genotype
from nas.spaces.nas_bench_201.cost import nas_bench_201_cost
from nas.spaces.nas_bench_201.space import NasBench201
from tests.blackbox.pareto.test_front import dominated, union_of_boxes
from tests.support.compose_tools import lines
from tests.support.error_tools import run
from tests.support.query_tools import FORMULA, QUICK, Formula
from tests.support.report_tools import Page

pytest.importorskip("optuna")
COMMAND = ["method=nsga2", "dataset=cifar10", *FORMULA, "method.strategy.population=6"]
SPACE = NasBench201((3, 32, 32), 10)


def test_search_writes_the_front_of_its_queries(tmp_path: Path) -> None:
    found = run("search", *COMMAND, *QUICK, "method.budget.queries=30", "epochs=3", f"hydra.run.dir={tmp_path}/r")
    found.succeeded()
    front = json.loads((tmp_path / "r" / "front.json").read_text())
    points = []
    for line in lines(tmp_path / "r" / "queries.jsonl"):
        _, macs = nas_bench_201_cost(SPACE.parse(line["genotype"]), SPACE.shape, 10)
        points.append([-line["value"], float(macs)])
    expected = sorted(point for point in points if not any(dominated(point, other) for other in points))
    assert [[-member["value"], member["macs"]] for member in front["members"]] == expected and front["front"] == len(
        expected
    )
    assert [(o["name"], o["direction"], o["unit"]) for o in front["objectives"]] == [
        ("value", "maximize", "formula"),
        ("macs", "minimize", "multiply-adds"),
    ]
    reference = [-front["reference"]["value"], front["reference"]["macs"]]
    rows = list(csv.DictReader((tmp_path / "r" / "hypervolume.csv").open()))
    assert len(rows) == 30 and float(rows[-1]["hypervolume"]) == pytest.approx(front["hypervolume"])
    assert front["hypervolume"] == pytest.approx(union_of_boxes(np.array(expected), reference), rel=1e-9)
    picked = front["members"][front["picked"]["index"]]
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert load_genotype(tmp_path / "r") == SPACE.parse(picked["genotype"]) and summary["picked_by"] == "knee"
    assert summary["objectives"] == {"value": picked["value"], "macs": picked["macs"]}
    assert (summary["value"], summary["macs"]) == (picked["value"], picked["macs"])
    assert (tmp_path / "r" / "front.png").read_bytes().startswith(b"\x89PNG")
    assert f"picture        {tmp_path / 'r' / 'front.png'}" in (tmp_path / "r" / "search.log").read_text()
    assert lines(tmp_path / "r" / "history.jsonl")[-1]["front"] == len(expected)
    run("search", "report", tmp_path / "r").succeeded()
    page = Page(tmp_path / "r" / "report.html")
    assert "Hypervolume of the Pareto front" in page.text and f"macs {picked['macs']:,.6g}" in page.text


def test_costs_are_those_of_the_network_that_will_be_trained() -> None:
    search = ParetoSearch(SPACE, Nsga2, Formula, costs=CostSources({"channels": 4, "cells_per_stage": 1}))
    genotype = SPACE.from_index(77)
    assert search.objectives.of(genotype, 5.0) == (5.0, nas_bench_201_cost(genotype, SPACE.shape, 10, 4, 1)[1])
    assert search.genotype() == SPACE.sample(random.Random(0)), "random before the first query"


def test_hypervolume_is_numbered_by_query() -> None:
    search = ParetoSearch(SPACE, Nsga2, Formula, reference={"value": 0, "macs": 1e9})
    for index, value in enumerate((math.nan, 5.0, math.nan, 7.0)):
        search.loop.history.append(Query(SPACE.from_index(77 + index), value, 1.0))
    macs = [nas_bench_201_cost(SPACE.from_index(index), SPACE.shape, 10)[1] for index in (78, 80)]
    first = 5.0 * (1e9 - macs[0])
    both = union_of_boxes(np.array([[-5.0, macs[0]], [-7.0, macs[1]]]), [0.0, 1e9])
    assert search.hypervolumes(Formula()) == pytest.approx([0.0, first, first, both])


KNOWN = TrueFront(np.array([[-90.0, 2e8], [-60.0, 1e7]]), [-10.0, 3e8])


def test_a_reference_beyond_the_true_front_is_refused(tmp_path: Path) -> None:
    with mock.patch.object(ParetoSearch, "true_front", lambda self, evaluator: KNOWN):
        found = run("search", *COMMAND, *QUICK, "method.reference={value: 95}", f"hydra.run.dir={tmp_path}/r")
    assert found.code == 1 and found.erred.count("\n") == 1
    assert "method.reference={value: 95}: no genotype is better than it. Lower value, or raise" in found.erred
    search = ParetoSearch(SPACE, Nsga2, Formula, reference={"value": 95})
    search.loop.history.append(Query(SPACE.from_index(77), 80.0, 1.0))
    with mock.patch.object(search, "true_front", lambda evaluator: KNOWN):
        assert search.hypervolumes(Formula()) == [0.0]


def test_interrupted_search_resumes_identically(tmp_path: Path) -> None:
    arguments = [*COMMAND, *QUICK, "method.budget.queries=24", "epochs=4"]
    run("search", *arguments, f"hydra.run.dir={tmp_path}/whole").succeeded()
    told = AskTellLoop.tell
    calls: list[int] = []

    def fail(self: AskTellLoop, *arguments: object) -> bool:
        calls.append(1)
        if len(calls) == 15:
            raise KeyboardInterrupt
        return told(self, *arguments)  # type: ignore[arg-type]

    with mock.patch.object(AskTellLoop, "tell", fail):
        assert run("search", *arguments, f"hydra.run.dir={tmp_path}/broken").code != 0
    run("search", f"ckpt_path={tmp_path}/broken", *FORMULA).succeeded()
    for name in ("queries.jsonl", "front.json", "hypervolume.csv", "genotype.json"):
        assert (tmp_path / "broken" / name).read_text() == (tmp_path / "whole" / name).read_text(), name


@pytest.mark.slow
def test_repetitions_report_the_mean_hypervolume(tmp_path: Path) -> None:
    arguments = [*COMMAND, "method.budget.queries=12", "method.reference={value: 0, macs: 3e8}"]
    run("search", *arguments, "method.repetitions=3", f"hydra.run.dir={tmp_path}/r").succeeded()
    rows = lines(tmp_path / "r" / "repetitions.jsonl")
    table = {row["name"]: row for row in csv.DictReader((tmp_path / "r" / "table.csv").open())}
    volumes = [row["hypervolume"] for row in rows]
    assert len(set(volumes)) == 3 and float(table["hypervolume"]["mean"]) == pytest.approx(np.mean(volumes), rel=1e-4)
    run("search", *arguments, *QUICK, "seed=1", f"hydra.run.dir={tmp_path}/one").succeeded()
    one = json.loads((tmp_path / "one" / "front.json").read_text())
    assert one["hypervolume"] == volumes[1] and one["reference"] == {"value": 0.0, "macs": 3e8}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("method.objectives=[value]", "method.objectives=['value']: use value and up to 4 costs"),
        ("method.reference={flops: 1}", "method.reference: objective 'flops'"),
    ],
    ids=["objectives", "reference"],
)
def test_invalid_options_are_refused(override: str, expected: str, tmp_path: Path) -> None:
    found = run("search", *COMMAND, override, f"hydra.run.dir={tmp_path}/r")
    assert found.code == 1 and expected in found.erred and found.erred.count("\n") == 1
