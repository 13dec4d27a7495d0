"""Limits on the final network by the keys ``budget``: methods and spaces, results, resume, mistakes."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.cli.commands.count import main as count_main
from nas.latency.predictor import LatencyPredictor
from nas.latency.table_file import load_table, save_table
from nas.spaces.genotype_budget import read_budget
from nas.spaces.genotype_file import load_genotype
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.choice_tools import NET
from tests.support.compose_tools import data_of, small
from tests.support.error_tools import SEARCH, TINY, run
from tests.support.latency_tools import SINGLE, make_table

LIMITS = {
    "nas_bench_201": ("budget.macs=6e4", "budget.network={channels: 4, cells_per_stage: 1}"),
    "darts": ("budget.macs=1.2e5", "budget.network={channels: 4, layers: 3, auxiliary: false}"),
    "mobile": ("budget.macs=1.8e4",),
    "recurrent": ("budget.parameters=1000", "budget.network={hidden_size: 8}"),
    "nats_size": ("budget.parameters=4000",),
    "choices": ("budget.macs=2e4", "budget.parameters=700"),
}
FEW = ("method.callbacks.0.samples=2", "method.callbacks.0.final=3")
METHODS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("gdas", "darts", "drnas", "snas", "fair_darts", "dsnas", "proxyless", "pc_darts"), ()),
    **dict.fromkeys(("one_shot", "rsps", "setn"), FEW),
    "enas": (*("method.callbacks.0.steps=2", "method.callbacks.0.samples=2"), "method.callbacks.1.samples=3"),
    "shapley_nas": ("method.callbacks.0.samples=1", "method.callbacks.0.batches=1"),
    "te_nas": ("method.repeats=1", "method.ntk_batch=4", "method.proxies.1.batch_size=32", "epochs=3"),
    "random_search": ("proxy=naswot", "method.budget.queries=4"),
    "regularized_evolution": ("proxy=naswot", "method.budget.queries=6", "method.strategy.population=3"),
    **dict.fromkeys(("local_search", "reinforce", "bohb"), ("proxy=naswot", "method.budget.queries=5")),
    "nsga2": ("proxy=naswot", "method.budget.queries=5", "method.strategy.population=3"),
    "evolution": (
        *("proxy=naswot", "method.budget.queries=6", "method.strategy.population=4"),
        *("method.strategy.parents=2", "method.strategy.mutations=2", "method.strategy.crossovers=2"),
    ),
}
QUICK = {
    *(("nas_bench_201", method) for method in ("gdas", "te_nas", "enas", "bohb")),
    *(("darts", method) for method in ("drnas", "one_shot", "regularized_evolution")),
    *(("mobile", method) for method in ("snas",)),
    *(("choices", method) for method in ("darts", "reinforce")),
}
REFUSED = {("mobile", "te_nas"), ("mobile", "pc_darts"), ("choices", "te_nas"), ("choices", "pc_darts")}
REFUSED |= {("choices", "proxyless"), ("choices", "enas")}
CASES = [(space, method) for space in ("nas_bench_201", "darts", "mobile", "choices") for method in METHODS]
MORE = [("recurrent", "darts"), ("recurrent", "gdas"), ("nats_size", "gdas"), ("nats_size", "regularized_evolution")]


def arguments(space: str, method: str, directory: Path) -> list[str]:
    model = [f"space.model={NET}", "space=choices"] if space == "choices" else small(space, method)
    data = data_of(space) if space == "recurrent" else TINY
    plain = ["dataset.size=32"] if space != "recurrent" else []
    return [
        *(*data, *plain, *model, f"method={method}", "epochs=1", *METHODS[method], *LIMITS[space]),
        *("~callbacks.cell_plots", "logger=none", f"hydra.run.dir={directory}"),
    ]


@pytest.mark.parametrize(
    ("space", "method"),
    [
        pytest.param(*case, id="-".join(case), marks=() if case in QUICK else pytest.mark.slow)
        for case in CASES + MORE
        if case not in REFUSED
    ],
)
def test_result_is_within_the_budget(space: str, method: str, tmp_path: Path) -> None:
    done = run("search", *arguments(space, method, tmp_path))
    done.succeeded()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["budget"]
    for name, cost in summary["budget"].items():
        assert 0 < cost["value"] <= cost["limit"]
        assert cost["value"] == summary[name]
        assert f"budget         {name} {cost['value']:,} of at most {cost['limit']:,}" in done.said


def test_latency_is_limited_by_a_table(tmp_path: Path) -> None:
    table = make_table(12, lambda counts: sum(SINGLE[key] * count for key, count in counts.items()))
    space = NasBench201((3, 8, 8), 10)
    save_table(replace(table, classes=10), space, tmp_path / "table.json")
    predictor = LatencyPredictor(load_table(tmp_path / "table.json", space), space)
    limit = sorted(predictor(space.sample(random.Random(seed))) for seed in range(9))[3]
    given = (f"budget.latency_ms={limit}", f"budget.latency_table={tmp_path}/table.json")
    found = (*SEARCH, *given, LIMITS["nas_bench_201"][1], f"hydra.run.dir={tmp_path}/found")
    run("search", *found).succeeded()
    cost = json.loads((tmp_path / "found" / "summary.json").read_text())["budget"]["latency_ms"]
    predicted = predictor(load_genotype(tmp_path / "found"))
    conditions = {"batch": 1, "device": "cpu", "statistic": "median"}
    assert cost == {"value": pytest.approx(predicted), "limit": limit, **conditions}
    assert cost["value"] <= limit
    run("train", *TINY, "epochs=1", f"genotype={tmp_path}/found", f"hydra.run.dir={tmp_path}/trained").succeeded()
    evaluation = ("mode=eval", f"weights={tmp_path}/trained", "evaluation.runs=3", f"hydra.run.dir={tmp_path}/eval")
    done = run("train", *evaluation)
    done.succeeded()
    summary = json.loads((tmp_path / "eval" / "summary.json").read_text())
    measured = summary["budget"]["latency_ms"]
    assert measured == {**conditions, "value": 1e3 * summary["image_seconds"]["median"], "limit": limit} | {
        "predicted": pytest.approx(predicted)
    }
    state = "of at most" if measured["value"] <= limit else "exceeds the limit"
    assert f"budget         latency_ms {measured['value']:.4g} {state} {limit:.4g} (measured; predicted" in done.said
    other = (*SEARCH, *given, f"hydra.run.dir={tmp_path}/other")
    run("search", *other).refused("measured with channels=4, but budget.network has channels=16")


def test_repetitions_state_the_budget(tmp_path: Path) -> None:
    few = ("method=random_search", "proxy=naswot", "method.budget.queries=2", "method.repetitions=2")
    run("search", *SEARCH, *few, *LIMITS["nas_bench_201"], f"hydra.run.dir={tmp_path}").succeeded()
    (cost,) = json.loads((tmp_path / "summary.json").read_text())["budget"].values()
    assert cost["value"] <= cost["limit"] == 60_000


def test_training_and_count_state_the_limits_of_the_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = ("budget.macs=6e4", "budget.network={channels: 4, cells_per_stage: 1}")
    run("search", *SEARCH, *found, f"hydra.run.dir={tmp_path}").succeeded()
    limited = json.loads((tmp_path / "summary.json").read_text())["budget"]
    assert json.loads((tmp_path / "genotype.json").read_text())["budget"] == limited == read_budget(tmp_path)
    trained = run("train", *TINY, "epochs=1", f"genotype={tmp_path}", f"hydra.run.dir={tmp_path}/trained")
    trained.succeeded()  # with the network of the budget
    summary = json.loads((tmp_path / "trained" / "summary.json").read_text())
    assert summary["budget"] == limited and summary["macs"] == limited["macs"]["value"]
    assert read_budget(tmp_path / "trained") == limited
    (tmp_path / "conf" / "network").mkdir(parents=True)
    (tmp_path / "conf" / "network" / "mine.yaml").write_text("channels: 8\n")
    own = ("-cd", tmp_path / "conf", "network=mine", *TINY, "epochs=1")
    run("train", *own, f"genotype={tmp_path}", f"hydra.run.dir={tmp_path}/own").succeeded()
    chosen = json.loads((tmp_path / "own" / "summary.json").read_text())["network"]
    assert chosen == {"channels": 8, "cells_per_stage": 1}, "network=GROUP replaces what the search had"
    larger = (*TINY, "epochs=1", "network.channels=8", f"genotype={tmp_path}", f"hydra.run.dir={tmp_path}/larger")
    said = run("train", *larger).said
    cost = json.loads((tmp_path / "larger" / "summary.json").read_text())["budget"]["macs"]
    assert cost["value"] > cost["limit"] == 60_000
    assert said.count(f"macs {cost['value']:,} exceeds the limit 60,000") == 2  # before and after the training
    assert count_main([str(tmp_path), "--shape", "3", "8", "8", "--json"]) == 0
    counted = json.loads(capsys.readouterr().out)
    assert counted["budget"] == limited and counted["macs_bias"] == limited["macs"]["value"]
    assert count_main([str(tmp_path)]) == 0
    assert f"in the search: macs {limited['macs']['value']:,} of at most 60,000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("budget.macs=1000",), "budget.macs=1000: every genotype of space=nas_bench_201 has at least"),
        (("budget.parameters=-1",), "budget.parameters=-1: "),
        (("budget.macs=many",), "budget.macs=many: "),
        (("budget.multiplier_lr=0",), "budget.multiplier_lr=0"),
        (("budget.macs=1e9", "budget.network={layers: 3}"), "budget.network.layers: the networks of space="),
        (("budget.latency=3",), "budget.latency"),
        (("budget.latency_ms=3",), "budget.latency_ms=3: no latency table. Run nas-search latency space=nas_bench_201"),
        (("budget.latency_ms=3", "budget.latency_table=none.json"), "budget.latency_table=none.json: cannot be read"),
        (("mode=rank_proxies", "proxy=naswot", "budget.macs=1e9"), "mode=rank_proxies does not use budget.macs"),
    ],
)
def test_mistakes_are_one_line(given: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    options: Any = (*SEARCH, *given) if not given[0].startswith("mode=") else (*TINY, *given)
    run("search", *options, f"hydra.run.dir={tmp_path / 'run'}").refused(expected)
