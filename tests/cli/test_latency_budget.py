"""Searches within a latency, and for a front of values and latencies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.latency.cost import latency_cost
from nas.latency.table_file import save_table
from nas.spaces.genotype_file import load_genotype
from tests.support.error_tools import TINY, run
from tests.support.latency_tools import OPTIONS, SINGLE, SPACE, make_table

SEARCH = [
    *TINY,
    "dataset.shape=[3,8,8]",
    "dataset.classes=4",
    "dataset.size=32",
    "budget.network={channels: 4, cells_per_stage: 1}",
]
SEARCH += ["~callbacks.cell_plots", "logger=none", "epochs=1", "space.channels=4", "space.cells_per_stage=1"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    save_table(
        make_table(9, lambda counts: 1.0 + sum(n * SINGLE[k] for k, n in counts.items())), SPACE, tmp_path / "t.json"
    )
    return tmp_path / "t.json"


@pytest.mark.parametrize("method", ["gdas", pytest.param("regularized_evolution", marks=pytest.mark.slow)])
def test_result_is_within_the_latency(method: str, table: Path, tmp_path: Path) -> None:
    more = ["proxy=naswot", "method.budget.queries=4"] if method != "gdas" else []
    limit = ["budget.latency_ms=12", f"budget.latency_table={table}"]
    done = run("search", *SEARCH, f"method={method}", *more, *limit, f"hydra.run.dir={tmp_path}/r")
    done.succeeded()
    found = json.loads((tmp_path / "r" / "summary.json").read_text())["budget"]["latency_ms"]
    predicted = latency_cost(SPACE, table, OPTIONS)(load_genotype(tmp_path / "r"))
    assert found == {"value": pytest.approx(predicted), "limit": 12} and predicted <= 12
    assert f"budget         latency_ms {predicted:.4g} of at most 12" in done.said


def test_front_of_values_and_latencies(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    objectives = ["method.objectives=[value,latency_ms]", f"budget.latency_table={table}", "method.budget.queries=5"]
    run("search", *SEARCH, "method=nsga2", "proxy=naswot", *objectives, f"hydra.run.dir={tmp_path}/r").succeeded()
    front = json.loads((tmp_path / "r" / "front.json").read_text())
    cost = latency_cost(SPACE, table, OPTIONS)
    assert front["objectives"][1] == {"name": "latency_ms", "direction": "minimize", "unit": "ms"}
    assert all(member["latency_ms"] == cost(SPACE.parse(member["genotype"])) for member in front["members"])


def test_missing_tables_are_refused_before_the_search(tmp_path: Path) -> None:
    for more in (["budget.latency_ms=8"], ["method=nsga2", "method.objectives=[value,latency_ms]"]):
        found = run("search", *SEARCH, *more, f"hydra.run.dir={tmp_path}/r")
        assert found.code == 1 and "budget.latency_table=null: latency_ms needs a latency table" in found.erred
