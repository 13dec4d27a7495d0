"""Objectives of genotypes, and refused combinations."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from nas.blackbox.pareto.cost_sources import CostSources
from nas.blackbox.pareto.objectives import Objectives
from nas.latency.table_file import save_table
from nas.utils.errors import NasError
from tests.support.latency_tools import SINGLE, SPACE, make_table, op_counts_of


def test_objectives_are_those_of_the_final_network(tmp_path: Path) -> None:
    table = make_table(6, lambda counts: 1.0 + sum(n * SINGLE[key] for key, n in counts.items()))
    save_table(table, SPACE, tmp_path / "t.json")
    network = {"channels": 4, "cells_per_stage": 1}
    found = Objectives(
        SPACE,
        ["parameters", "value", "macs", "latency_ms"],
        CostSources(network=network, latency_table=tmp_path / "t.json"),
    )
    genotype = SPACE.from_index(1234)
    parameters, macs = SPACE.count(genotype, **network)
    values = found.of(genotype, 77.0)
    latency = 1.0 + sum(n * SINGLE[key] for key, n in op_counts_of(genotype).items())
    assert values == pytest.approx((parameters, 77.0, macs, latency))
    assert found.losses(genotype, 77.0) == (parameters, -77.0, macs, values[3])
    assert [objective.maximize for objective in found.items] == [False, True, False, False]
    assert found.losses(genotype, -math.inf) is None and found.losses(genotype, math.nan) is None
    assert Objectives(SPACE, ["value", "macs"]).of(genotype, 1.0)[1] == SPACE.count(genotype)[1]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["value"], "use value and up to 4 costs"),
        (["macs", "parameters"], "use value and up to 4 costs"),
        (["value", "macs", "macs"], "use value and up to 4 costs"),
        (["value", "flops"], "unknown objective 'flops'"),
        (["value", "latency_ms"], "latency_ms needs a table. Run nas-search latency space=nas_bench_201, and set"),
    ],
    ids=["one", "without value", "twice", "unknown", "without table"],
)
def test_invalid_objectives_are_refused(names: list[str], expected: str) -> None:
    with pytest.raises(NasError) as error:
        Objectives(SPACE, names)
    assert expected in str(error.value)
