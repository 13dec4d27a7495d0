"""Tests of the ranking of pruning candidates: relative changes and non-finite proxy values."""

from __future__ import annotations

import math

import pytest

from nas.architecture.cell import Cell
from nas.searches.pruning.ranking import (
    LARGEST_CHANGE,
    Candidate,
    pruning_order,
    rank_changes,
    relative_change,
    round_significant,
    tie_sorted,
)

INF = math.inf


@pytest.mark.parametrize("higher", [True, False])
def test_relative_change_rounds_each_repeat(higher: bool) -> None:
    assert relative_change([4.0, 4.0], [3.0, 5.001], higher) == pytest.approx((0.25 - 0.25) / 2, abs=1e-12)
    assert relative_change([3.0], [2.0], higher) == 0.333
    assert relative_change([-3.0], [-2.0], higher) == -0.333, "a negative value keeps its direction"


@pytest.mark.parametrize(("higher", "worst"), [(False, INF), (True, -INF), (True, math.nan), (False, math.nan)])
def test_pruning_order_puts_non_finite_values_last(higher: bool, worst: float) -> None:
    """An op whose removal makes a proxy non-finite is pruned last, an op whose removal makes it finite first."""
    bad = 1e30 if not higher else -1e30
    changes = [relative_change([1.5], [value], higher) for value in (worst, bad, 2.0, 1.0)]
    assert set(pruning_order([changes], [higher])[-2:]) == {0, 1}
    assert all(abs(change) <= LARGEST_CHANGE for change in changes)
    assert relative_change([worst], [worst], higher) == 0.0
    recovered = [relative_change([worst], [value], higher) for value in (worst, 7.0)]
    assert pruning_order([recovered], [higher]) == [1, 0]


def test_relative_change_is_bounded() -> None:
    assert abs(relative_change([0.0], [1e305], True)) == LARGEST_CHANGE
    assert math.isfinite(round_significant(LARGEST_CHANGE))


@pytest.mark.parametrize(("value", "rounded"), [(0.0, 0.0), (0.12345, 0.123), (-1.2355, -1.24), (99.96, 100.0)])
def test_round_significant_keeps_three_digits(value: float, rounded: float) -> None:
    assert round_significant(value) == pytest.approx(rounded)


def test_tie_sorted_orders_the_ops_of_each_edge_by_name() -> None:
    """Unlisted ops come last in the order of the space; edges keep their order."""
    cell = Cell(((0, 1), (0, 2)), ("noise", "max", "skip", "conv"), output=(2,))
    group = [Candidate("cell", edge, op) for edge in (0, 1) for op in range(4)]
    found = [(edge, cell.ops[op]) for _, edge, op in tie_sorted(group, {"cell": cell}, ["skip", "conv", "max"])]
    assert found == [(edge, op) for edge in (0, 1) for op in ("skip", "conv", "max", "noise")]
    assert tie_sorted(group, {"cell": cell}, []) == group


def test_rank_changes_orders_by_rounded_and_counts_full_values() -> None:
    """Values with the same three digits keep their order, but have ranks of their own; equal ones share a rank."""
    order, ranks = rank_changes([0.12341, 0.12349, 0.5, 0.12341, 0.5], True)
    assert order == [0, 1, 3, 2, 4] and ranks == [0, 1, 3, 2, 3]
    order, ranks = rank_changes([0.12341, 0.12349, 0.5, 0.12341, 0.5], False)
    assert order == [2, 4, 0, 1, 3] and ranks == [1, 2, 0, 3, 0]


def test_pruning_order_breaks_equal_sums_by_the_first_proxy() -> None:
    """Ranks 0, 1, 2 and 2, 1, 0 have equal sums."""
    assert pruning_order([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]], [False, True]) == [0, 1, 2]
    assert pruning_order([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]], [True, False]) == [2, 1, 0]
    assert pruning_order([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]], [False, True]) == [0, 1, 2]
