"""Every method searches every space: three bilevel steps by the code that search.py runs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.errors import InstantiationException
from torch import Tensor

import nas.cli.jobs.search
from nas.blackbox.search import BlackBoxSearch
from nas.cli.errors import explain
from nas.searches.base import Search, SupernetSearch
from nas.searches.gradient import GradientSearch
from nas.spaces.genotype_file import load_genotype
from nas.utils.errors import NasError
from tests.support.compose_tools import DATA, REFUSED, SIZED, budget, choices, composed, lines, searches, small

METHODS, SPACES = searches(), choices("space")
LONG = {(method, "darts") for method in ("darts_pt", "r_darts", "sdarts_adv", "te_nas")}  # seen with NAS-Bench-201


def pairs() -> Iterator[Any]:
    """Every method with every space; slow where both have already been seen with something else."""
    for method in METHODS:
        for space in SPACES:
            if (method, space) in REFUSED:
                continue
            quick = method in ("gdas", *SIZED) or space in ("darts", "nas_bench_201")
            marks = [] if quick and (method, space) not in LONG else [pytest.mark.slow]
            yield pytest.param(method, space, marks=marks)


class Watched:
    """The search that a run built, with the parameters it began with and the losses it saw."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.before = {name: p.detach().clone() for name, p in search.named_parameters()}
        self.losses: dict[str, list[float]] = {}
        if isinstance(search, SupernetSearch):
            search.observers.append(lambda seen: self.losses.setdefault(seen.phase, []).append(float(seen.loss)))

    def moved(self, prefix: str) -> dict[str, bool]:
        """For each parameter below ``prefix``, whether it has changed."""
        after: dict[str, Tensor] = dict(self.search.named_parameters())
        return {n: not torch.equal(p, after[n]) for n, p in self.before.items() if n.startswith(prefix)}


def run_watched(monkeypatch: pytest.MonkeyPatch, output: Path, *overrides: str) -> Watched:
    """Runs a search of one epoch in this process."""
    found: list[Watched] = []
    build = nas.cli.jobs.search.build_search

    def build_watched(*args: Any) -> Search:
        found.append(Watched(build(*args)))
        return found[0].search

    monkeypatch.setattr(nas.cli.jobs.search, "build_search", build_watched)
    with composed("search", *overrides, "trainer.max_epochs=1", f"paths.output={output}") as cfg:
        if "arch_step" in cfg.method:
            cfg.method.arch_step.warmup_epochs = 0
        for schedule in cfg.method.get("callbacks", []):
            if "final" in schedule:
                schedule.final = 3
            if "entropy_weight" in schedule:
                schedule.steps, schedule.samples = 2, 3
        if "repeats" in cfg.method:
            cfg.method.repeats, cfg.method.ntk_batch = 1, 2
            cfg.method.proxies[1].batch_size = 50
        nas.cli.jobs.search.run(cfg)
    return found[0]


def test_there_is_a_matrix() -> None:
    assert {"darts", "darts_2nd", "gdas", "drnas", "one_shot"} <= set(METHODS)
    assert {"darts", "darts_s1", "darts_s2", "darts_s3", "darts_s4", "nas_bench_201"} <= set(SPACES)


@pytest.mark.parametrize(("method", "space"), list(pairs()))
def test_three_bilevel_steps(method: str, space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    size = ["dataset.size=48", "dataset.batch_size=8", "trainer.limit_val_batches=1", "~callbacks.cell_plots"]
    given = [f"method={method}", *small(space), *DATA, *size, *budget(method)]
    watched = run_watched(monkeypatch, tmp_path, *given)
    search = watched.search

    genotype = search.genotype()
    search.space.check(genotype)
    assert load_genotype(tmp_path) == genotype
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["method"], summary["space"]) == (method, space)
    assert search.space.parse(summary["genotype"]) == genotype

    (line,) = lines(tmp_path / "history.jsonl")
    numbers = {name: value for name, value in line.items() if isinstance(value, float)}
    assert line["genotype"] == summary["genotype"]
    if isinstance(search, BlackBoxSearch):
        assert {"query/value", "query/best"} <= set(numbers)
    assert all(map(math.isfinite, numbers.values())), numbers

    if isinstance(search, SupernetSearch):
        assert {"train/loss", "val/loss"} <= set(numbers)
        moved = watched.moved("supernet.")
        assert moved["supernet.classifier.weight"] and any(
            "cells" in name for name, is_moved in moved.items() if is_moved
        )
        assert len(watched.losses["train"]) == 3
        assert all(map(math.isfinite, sum(watched.losses.values(), [])))
    if isinstance(search, GradientSearch):
        alphas = watched.moved("relaxation.alpha.")
        searched = len(search.wrapped_optimizers()) > 1
        assert list(alphas.values()) == [searched] * len(search.space.cells), alphas
        assert ("arch" in watched.losses) == ("arch/loss" in line) == searched
        assert len(watched.losses.get("arch", [])) >= 3 * searched


@pytest.mark.parametrize(("method", "space"), REFUSED)
def test_pairs_without_meaning_are_refused(
    method: str, space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((NasError, InstantiationException)) as error:
        run_watched(monkeypatch, tmp_path, f"method={method}", *small(space), *DATA)
    assert REFUSED[method, space] in (explain(error.value) or "")


def test_a_step_that_does_nothing_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks above can fail: at a learning rate of 0 nothing moves."""
    still = [
        "method.weight_step.optimizer.lr=0",
        "method.arch_step.optimizer.lr=0",
        "method.weight_step.scheduler=null",
    ]
    watched = run_watched(monkeypatch, tmp_path, "method=darts", *small("nas_bench_201"), *DATA, *still)
    assert not any(watched.moved("supernet.").values()) and not any(watched.moved("relaxation.").values())
