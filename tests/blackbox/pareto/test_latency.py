"""Searches for a front of values and latencies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.latency.cost import latency_cost
from nas.latency.table_file import save_table
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


def test_front_of_values_and_latencies(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    objectives = ["method.objectives=[value,latency_ms]", f"budget.latency_table={table}", "method.budget.queries=5"]
    run("search", *SEARCH, "method=nsga2", "proxy=naswot", *objectives, f"hydra.run.dir={tmp_path}/r").succeeded()
    front = json.loads((tmp_path / "r" / "front.json").read_text())
    cost = latency_cost(SPACE, table, OPTIONS)
    assert front["objectives"][1] == {"name": "latency_ms", "direction": "minimize", "unit": "ms"}
    assert all(member["latency_ms"] == cost(SPACE.parse(member["genotype"])) for member in front["members"])


def test_missing_tables_are_refused_before_the_search(tmp_path: Path) -> None:
    found = run(
        "search", *SEARCH, "method=nsga2", "method.objectives=[value,latency_ms]", f"hydra.run.dir={tmp_path}/r"
    )
    assert found.code == 1 and "method.objectives=['value', 'latency_ms']: latency_ms needs a table" in found.erred
