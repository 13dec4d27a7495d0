"""Dominance and hypervolume against brute force, inclusion and exclusion, and Monte Carlo."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from nas.blackbox.pareto.front import Points, hypervolume, hypervolume_curve, non_dominated, worst


def dominated(point: list[float], other: list[float]) -> bool:
    return all(b <= a for a, b in zip(point, other, strict=True)) and other != point


def union_of_boxes(points: Points, reference: list[float]) -> float:
    """Return the volume of the union of the boxes from each point to the reference by inclusion and exclusion."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for chosen in combinations(points, size):
            sides = np.maximum(np.array(reference) - np.max(chosen, axis=0), 0)
            total += (-1) ** (size + 1) * float(sides.prod())
    return total


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_non_dominated_equals_brute_force(objectives: int) -> None:
    points = np.random.default_rng(objectives).integers(0, 5, (60, objectives)).astype(float)
    rows = points.tolist()
    kept = non_dominated(points)
    expected = {tuple(row) for row in rows if not any(dominated(row, other) for other in rows)}
    assert [tuple(rows[index]) for index in kept] == sorted(expected)
    assert all(rows.index(rows[index]) == index for index in kept), "the first of equal points"


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 5])
def test_hypervolume_equals_inclusion_and_exclusion(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    for count in (1, 2, 8):
        points = rng.uniform(-1.0, 1.2, (count, objectives))  # some lie beyond the reference point
        points[: count // 2, 0] = points[0, 0]  # equal coordinates
        reference = [1.0] * objectives
        assert hypervolume(points, reference) == pytest.approx(union_of_boxes(points, reference), abs=1e-12)


def test_hypervolume_equals_monte_carlo() -> None:
    rng = np.random.default_rng(0)
    points, samples = rng.random((40, 3)), rng.random((40_000, 3))
    share = np.mean([(points <= sample).all(axis=1).any() for sample in samples])
    assert hypervolume(points, [1.0, 1.0, 1.0]) == pytest.approx(share, abs=0.01)


def test_hypervolume_of_known_points() -> None:
    points = np.array([[1.0, 3.0], [2.0, 1.0], [2.0, 2.0]])
    assert hypervolume(points, [4.0, 4.0]) == 3 * 1 + 2 * 2
    assert hypervolume(points, [1.0, 9.0]) == 0.0 and hypervolume(np.empty((0, 2)), [1.0, 1.0]) == 0.0


def test_hypervolume_curve_is_that_of_the_first_points() -> None:
    points = np.random.default_rng(1).random((25, 3))
    reference = [1.0, 0.9, 1.0]
    expected = [hypervolume(points[: count + 1], reference) for count in range(25)]
    assert hypervolume_curve(points, reference) == pytest.approx(expected) and expected == sorted(expected)


def test_worst_adds_a_margin() -> None:
    assert worst(np.array([[0.0, 5.0], [10.0, 5.0]])) == [11.0, 6.0]
