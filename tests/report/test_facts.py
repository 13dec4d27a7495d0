"""Facts about a run on its page: limited costs, and damaged records of them."""

from __future__ import annotations

from typing import Any

import pytest

from nas.report.facts import identification, results
from nas.report.run import Run


def test_limited_costs_stand_beside_their_limits() -> None:
    budget = {"macs": {"value": 58_104_330, "limit": 60_000_000}, "latency_ms": {"value": 3.14159, "limit": 4}}
    facts = dict(results(Run("run", summary={"budget": budget})))
    assert facts == {"limit of macs": "58,104,330 of at most 60,000,000", "limit of latency_ms": "3.142 of at most 4"}


@pytest.mark.parametrize("budget", [3, ["macs"], {"macs": 3}, {"macs": {"value": "3", "limit": 4}}, {"macs": {}}])
def test_damaged_limits_are_left_out(budget: Any) -> None:
    assert results(Run("run", summary={"budget": budget})) == []


def test_ranking_is_named_by_its_proxy() -> None:
    summary = {"mode": "rank_proxies", "proxy": "naswot", "space": "nas_bench_201", "dataset": "digits", "seed": 0}
    run = Run("run", kind="rank_proxies", summary=summary, choices={"method": "drnas"})
    assert run.title == "Ranking by a proxy: naswot, nas_bench_201, digits, seed 0"
    facts = dict(identification(run))
    assert facts["proxy"] == "naswot" and "method" not in facts
