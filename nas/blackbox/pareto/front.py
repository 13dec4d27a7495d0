"""Pareto dominance and hypervolume of points whose coordinates are minimized."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""Losses [points, objectives]."""


def non_dominated(points: Points) -> list[int]:
    """Return the indices of the points that no other point dominates, in lexicographic order of the points.

    A point dominates another one if it is at most as large in all coordinates, and not equal. Of equal points the first
    is returned.
    """
    order = np.lexsort((*points.T[::-1],))  # a point can only be dominated by points before it; ties keep their order
    kept: list[int] = []
    front = np.empty((0, points.shape[1]))
    for index in order:
        if not (front <= points[index]).all(axis=1).any():
            kept.append(int(index))
            front = points[kept]
    return kept


def hypervolume(points: Points, reference: Sequence[float]) -> float:
    """Return the volume that is dominated by the points and bounded by a reference point (Zitzler and Thiele, 1999).

    The volume is cut into slices along the last coordinate, each of which is a hypervolume of one coordinate less
    (While et al., 2006). Points that do not dominate the reference point add nothing.

    Args:
        points: [points, objectives].
        reference: upper bound of each coordinate.
    """
    bound = np.asarray(reference, dtype=np.float64)
    inside = points[(points < bound).all(axis=1)]
    return _volume(inside, bound) if len(inside) else 0.0


def _volume(points: Points, bound: NDArray[np.float64]) -> float:
    points = points[non_dominated(points)]
    if points.shape[1] == 1:
        return float(bound[0] - points[0, 0])
    if points.shape[1] == 2:  # sorted by the first coordinate, so that the second one falls
        widths = np.append(points[1:, 0], bound[0]) - points[:, 0]
        return float((widths * (bound[1] - points[:, 1])).sum())
    points = points[np.argsort(points[:, -1], kind="stable")]
    depths = np.append(points[1:, -1], bound[-1]) - points[:, -1]
    return sum(
        float(depth) * _volume(points[: count + 1, :-1], bound[:-1]) for count, depth in enumerate(depths) if depth > 0
    )


def hypervolume_curve(points: Points, reference: Sequence[float]) -> list[float]:
    """Return the hypervolume of the first 1, 2, ... points."""
    curve: list[float] = []
    front = np.empty((0, points.shape[1]))
    for point in points:
        if curve and (front <= point).all(axis=1).any():
            curve.append(curve[-1])
            continue
        front = np.vstack([front[~(point <= front).all(axis=1)], point])
        curve.append(hypervolume(front, reference))
    return curve


def worst(points: Points, margin: float = 0.1) -> list[float]:
    """Return a reference point: the largest value of each coordinate plus a share of its range.

    Extreme points add to the hypervolume by this margin. A coordinate without range has a margin of 1.

    Args:
        points: [points, objectives], at least one.
        margin: share of the range.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    width = np.where(high > low, margin * (high - low), 1.0)
    return [float(value) for value in high + width]
