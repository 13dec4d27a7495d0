"""nas.report.page: tables of results."""

from __future__ import annotations

import pytest

from nas.report.groups import group_runs
from nas.report.page import _cell
from nas.report.run import Run


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((83.5, 84.0), "83.750 ± 0.354"),
        ((1200.0, 1500.0), "1350 ± 212"),
        ((120000.0, 150000.0), "135000 ± 21213"),
        ((2.0, 2.0), "2 ± 0"),
        ((1e-9, 3e-9), "2e-09 ± 1.41e-09"),
    ],
)
def test_mean_and_deviation_of_a_value_have_equal_decimals(values: tuple[float, ...], text: str) -> None:
    runs = [
        Run("run", "search", summary={"method": "random_search", "seed": i, "value": v}) for i, v in enumerate(values)
    ]
    (group,) = group_runs(runs)
    assert _cell(group, "value") == text
