"""Changes of scores as TE-NAS ranks them, where scores are not finite."""

from __future__ import annotations

import math

import pytest

from nas.searches.pruning.ranking import LARGE, change, ranked, significant

INF = math.inf


@pytest.mark.parametrize("higher", [True, False])
def test_changes_are_relative_and_rounded(higher: bool) -> None:
    assert change([4.0, 4.0], [3.0, 5.001], higher) == pytest.approx((0.25 - 0.25) / 2, abs=1e-12)
    assert change([3.0], [2.0], higher) == 0.333
    assert change([-3.0], [-2.0], higher) == -0.333, "a negative score keeps its direction"


@pytest.mark.parametrize(("higher", "worst"), [(False, INF), (True, -INF), (True, math.nan), (False, math.nan)])
def test_nothing_is_worse_than_what_is_not_finite(higher: bool, worst: float) -> None:
    """Pruned last is what makes a score infinite, however large a finite one becomes; first what makes it finite."""
    awful = 1e30 if not higher else -1e30
    after = [worst, awful, 2.0, 1.0]
    order = ranked([[change([1.5], [value], higher) for value in after]], [higher])
    assert set(order[-2:]) == {0, 1} and all(abs(change([1.5], [value], higher)) <= LARGE for value in after)
    assert change([worst], [worst], higher) == 0.0
    back = [change([worst], [value], higher) for value in (worst, 7.0)]
    assert ranked([back], [higher]) == [1, 0]
    assert abs(change([0.0], [1e305], higher)) == LARGE and math.isfinite(significant(LARGE))
