"""Limits on the final network by the keys ``budget``: methods and spaces, results, resume, mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.spaces.genotype_file import load_genotype
from tests.support.choice_tools import NET
from tests.support.compose_tools import data_of, lines, small
from tests.support.error_tools import SEARCH, TINY, run, unfinished

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
    "te_nas": ("method.repeats=1", "method.ntk_batch=4", "method.proxies.1.batch_size=32", "epochs=3"),
    "random_search": ("proxy=naswot", "method.budget.queries=4"),
    "regularized_evolution": ("proxy=naswot", "method.budget.queries=6", "method.strategy.population=3"),
    **dict.fromkeys(("local_search", "reinforce", "bohb"), ("proxy=naswot", "method.budget.queries=5")),
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


def test_interrupted_search_continues_with_its_multipliers(tmp_path: Path) -> None:
    whole, first = tmp_path / "whole", tmp_path / "first"
    network = LIMITS["nas_bench_201"][1]
    given = (*SEARCH, network, "budget.macs=4e4", "budget.multiplier_lr=0.5", "logger=none")
    run("search", *given, "epochs=2", f"hydra.run.dir={whole}").succeeded()
    run("search", *given, f"hydra.run.dir={first}").succeeded()
    resumed = unfinished(first, tmp_path / "resumed")
    run("search", f"ckpt_path={resumed}").succeeded()
    states = [torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True) for run_dir in (whole, resumed)]
    one, other = (state["state_dict"] for state in states)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert float(one["resource.multipliers"]) > 0
    assert lines(whole / "history.jsonl")[-1]["multiplier_macs"] == pytest.approx(float(one["resource.multipliers"]))
    assert load_genotype(whole) == load_genotype(resumed)


def test_repetitions_state_the_budget(tmp_path: Path) -> None:
    few = ("method=random_search", "proxy=naswot", "method.budget.queries=2", "method.repetitions=2")
    run("search", *SEARCH, *few, *LIMITS["nas_bench_201"], f"hydra.run.dir={tmp_path}").succeeded()
    (cost,) = json.loads((tmp_path / "summary.json").read_text())["budget"].values()
    assert cost["value"] <= cost["limit"] == 60_000


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("budget.macs=1000",), "budget.macs=1000: every genotype of space=nas_bench_201 has at least"),
        (("budget.parameters=-1",), "budget.parameters=-1: "),
        (("budget.macs=many",), "budget.macs=many: "),
        (("budget.multiplier_lr=0",), "budget.multiplier_lr=0"),
        (("budget.macs=1e9", "budget.network={layers: 3}"), "budget.network.layers: the networks of space="),
        (("budget.latency=3",), "budget.latency"),
        (("mode=rank_proxies", "proxy=naswot", "budget.macs=1e9"), "mode=rank_proxies does not use budget.macs"),
    ],
)
def test_mistakes_are_one_line(given: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    options: Any = (*SEARCH, *given) if not given[0].startswith("mode=") else (*TINY, *given)
    run("search", *options, f"hydra.run.dir={tmp_path / 'run'}").refused(expected)
