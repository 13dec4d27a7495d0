"""Latency tables as costs of the final network."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.latency.cost import latency_cost
from nas.latency.table_file import save_table
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.latency_tools import OPTIONS, SPACE, make_table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_table(make_table(6, lambda counts: 1.0 + sum(counts.values())), SPACE, tmp_path / "t.json")
    return tmp_path / "t.json"


def test_cost_is_that_of_the_measured_networks(path: Path) -> None:
    cost = latency_cost(SPACE, path, OPTIONS)
    assert cost.name == "latency_ms" and cost(SPACE.from_index(0)) > 0
    assert latency_cost(SPACE, path, {**OPTIONS, "channels": 4})(SPACE.from_index(5)) == cost(SPACE.from_index(5))


def test_other_networks_are_refused(path: Path) -> None:
    with pytest.raises(NasError) as error:
        latency_cost(SPACE, path)
    assert str(error.value) == (
        f"budget.latency_table={path}: measured with channels=4, but budget.network has channels=16. "
        "Set budget.network as in the table, or measure another table."
    )
    with pytest.raises(NasError, match="cells_per_stage=1, but budget.network has cells_per_stage=2"):
        latency_cost(SPACE, path, {**OPTIONS, "cells_per_stage": 2})
    with pytest.raises(NasError, match=r"budget\.latency_table=.*: measured with images \[3, 8, 8\]"):
        latency_cost(NasBench201((3, 16, 16), 4), path, OPTIONS)
