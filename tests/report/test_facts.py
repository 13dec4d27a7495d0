"""Facts about a run on its page: limited costs, and damaged records of them."""

from __future__ import annotations

from typing import Any

import pytest

from nas.report.facts import results
from nas.report.run import Run


def test_limited_costs_stand_beside_their_limits() -> None:
    budget = {"macs": {"value": 58_104_330, "limit": 60_000_000}, "latency_ms": {"value": 3.14159, "limit": 4}}
    facts = dict(results(Run("run", summary={"budget": budget})))
    assert facts == {"limit of macs": "58,104,330 of at most 60,000,000", "limit of latency_ms": "3.142 of at most 4"}


@pytest.mark.parametrize("budget", [3, ["macs"], {"macs": 3}, {"macs": {"value": "3", "limit": 4}}, {"macs": {}}])
def test_damaged_limits_are_left_out(budget: Any) -> None:
    assert results(Run("run", summary={"budget": budget})) == []
