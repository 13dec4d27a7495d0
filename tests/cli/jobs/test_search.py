"""Every method on every space: three bilevel steps by the job that search.py runs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.errors import InstantiationException

from nas.blackbox.search import BlackBoxSearch
from nas.cli.errors import explain
from nas.searches.base import SupernetSearch
from nas.searches.gradient import GradientSearch
from nas.spaces.genotype_file import load_genotype
from nas.utils.errors import NasError
from tests.support.compose_tools import DATA, REFUSED, SIZED, budget, data_of, lines, searches, small, spaces
from tests.support.watch_tools import run_watched

METHODS, SPACES = searches(), spaces()
LONG = {(method, "darts") for method in ("darts_pt", "r_darts", "sdarts_adv", "shapley_nas", "te_nas")}
"""Pairs that are covered by NAS-Bench-201."""


def pairs() -> Iterator[Any]:
    """Yield every method with every space; marked slow if other pairs cover both already."""
    for method in METHODS:
        for space in SPACES:
            if (method, space) in REFUSED:
                continue
            quick = method in ("gdas", *SIZED) or space in ("darts", "nas_bench_201")
            marks = [] if quick and (method, space) not in LONG else [pytest.mark.slow]
            yield pytest.param(method, space, marks=marks)


def test_pairs_cover_methods_and_spaces() -> None:
    assert {"darts", "darts_2nd", "gdas", "drnas", "one_shot"} <= set(METHODS)
    assert {"darts", "darts_s1", "darts_s2", "darts_s3", "darts_s4", "nas_bench_201"} <= set(SPACES)


@pytest.mark.parametrize(("method", "space"), list(pairs()))
def test_search_runs_three_bilevel_steps(
    method: str, space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    text = space == "recurrent"
    size = ["trainer.limit_val_batches=1", "~callbacks.cell_plots"]
    size += ["trainer.limit_train_batches=3"] if text else ["dataset.size=48", "dataset.batch_size=8"]
    given = [f"method={method}", *small(space, method), *data_of(space), *size, *budget(method)]
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
        assert "query/value" in line and "query/best" in numbers
    assert all(map(math.isfinite, numbers.values())), numbers

    if isinstance(search, SupernetSearch):
        assert {"train/loss", "val/loss"} <= set(numbers)
        moved = watched.moved("supernet.")
        head = "decoder.bias" if text else "classifier.weight"
        ops = [name for name, is_moved in moved.items() if is_moved and ("cell" in name or ".graph.edges." in name)]
        assert moved[f"supernet.{head}"] and ops
        assert len(watched.losses["train"]) == 3
        assert all(map(math.isfinite, sum(watched.losses.values(), [])))
    if isinstance(search, GradientSearch):
        alphas = watched.moved("relaxation.alpha.")
        searched = len(search.wrapped_optimizers()) > 1
        chosen = [n for n, cell in search.space.cells.items() if len(cell.ops) > 1]  # the others choose edges alone
        assert [alphas[f"relaxation.alpha.{name}"] for name in chosen] == [searched] * len(chosen), alphas
        edges = [moved for name, moved in watched.moved("relaxation.beta.").items() if name.endswith(".output")]
        assert edges in ([], [searched])
        assert ("arch" in watched.losses) == ("arch/loss" in line) == searched
        assert len(watched.losses.get("arch", [])) >= 3 * searched


@pytest.mark.parametrize(("method", "space"), REFUSED)
def test_search_refuses_incompatible_pairs(
    method: str, space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((NasError, InstantiationException)) as error:
        run_watched(monkeypatch, tmp_path, f"method={method}", *small(space), *data_of(space))
    assert REFUSED[method, space] in (explain(error.value) or "")


def test_watched_search_detects_unchanged_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing changes at a learning rate of 0, so the checks above can fail."""
    still = [
        "method.weight_step.optimizer.lr=0",
        "method.arch_step.optimizer.lr=0",
        "method.weight_step.scheduler=null",
    ]
    watched = run_watched(monkeypatch, tmp_path, "method=darts", *small("nas_bench_201"), *DATA, *still)
    assert not any(watched.moved("supernet.").values()) and not any(watched.moved("relaxation.").values())
