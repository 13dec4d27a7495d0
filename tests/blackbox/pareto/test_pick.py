"""Rules that select one point of a front."""

from __future__ import annotations

import numpy as np
import pytest

from nas.blackbox.pareto.objectives import Objectives
from nas.blackbox.pareto.pick import PickRule
from nas.utils.errors import NasError
from tests.support.query_tools import SMALL_SPACE

TWO = Objectives(SMALL_SPACE, ["value", "macs"])
FRONT = np.array([[-90.0, 100.0], [-88.0, 40.0], [-80.0, 20.0], [-50.0, 10.0]])
"""Values 90, 88, 80 and 50 at 100, 40, 20 and 10 multiply-adds, as losses."""


def farthest_from_the_line(points: np.ndarray) -> int:
    """Return the point with the largest distance to the line through the first and the last one, all scaled to 0..1."""
    scaled = (points - points.min(axis=0)) / np.ptp(points, axis=0)
    (x0, y0), (x1, y1) = scaled[0], scaled[-1]
    distances = [abs((x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0)) / np.hypot(x1 - x0, y1 - y0) for x, y in scaled]
    return int(np.argmax(distances))


def test_knee_is_the_farthest_point_from_the_ends_of_the_front() -> None:
    assert PickRule()(FRONT, TWO) == farthest_from_the_line(FRONT) == 2
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = np.sort(rng.random(9))
        convex = np.stack([-np.sqrt(x), x * 1e6], axis=1)
        assert PickRule()(convex, TWO) == farthest_from_the_line(convex)


def test_other_rules() -> None:
    assert PickRule("value")(FRONT, TWO) == 0
    assert PickRule("weights", weights={"value": 100.0, "macs": 1.0})(FRONT, TWO) == 0
    assert PickRule("weights", weights={"macs": 1.0})(FRONT, TWO) == 3
    assert PickRule()(FRONT[:1], TWO) == 0


def test_limits_bound_the_selected_point() -> None:
    assert PickRule("value", limits={"macs": 40})(FRONT, TWO) == 1
    assert PickRule("value", limits={"macs": 39.9})(FRONT, TWO) == 2
    assert PickRule("weights", {"value": 75.0}, {"macs": 1.0})(FRONT, TWO) == 2
    assert PickRule("value", limits={"macs": 5})(FRONT, TWO) == 3, "the smallest violation"


def test_invalid_rules_are_refused() -> None:
    with pytest.raises(NasError, match="PickRule: rule"):
        PickRule("best")  # type: ignore[arg-type]
    for rule, weights in (("weights", None), ("knee", {"macs": 1.0})):
        with pytest.raises(
            NasError, match=r"method\.pick\.weights=.*set them together with method\.pick\.rule=weights"
        ):
            PickRule(rule, weights=weights)  # type: ignore[arg-type]
    with pytest.raises(NasError, match=r"weights={'macs': -1.0}: use a number of at least 0"):
        PickRule("weights", weights={"macs": -1.0})
    with pytest.raises(NasError, match=r"method\.pick\.limits: objective 'flops'"):
        PickRule(limits={"flops": 1.0}).check(TWO)
