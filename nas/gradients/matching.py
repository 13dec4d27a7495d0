"""Gradient matching: distances between candidate ops, and their division into two groups (GM-NAS)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Distance = Literal["cosine", "per_filter", "squared"]
Criterion = Literal["cut", "inside"]
EPS = 1e-6
"""Added to the product of norms, as in the authors' code."""


class Division(NamedTuple):
    """Two groups of ops, as positions, and the score of the edge that is divided."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    score: float


def gradient_distances(grads: Sequence[Tensor], distance: Distance = "cosine") -> Tensor:
    """Return the distances [ops, ops] between the gradients of shared parameters under each op.

    Args:
        grads: [ops, *shape] for each parameter.
        distance: "cosine" of all parameters together, "per_filter" for the sum of the cosine distances of all filters
            of parameters with at least two dimensions, or "squared" for the squared Euclidean distance.
    """
    if distance == "per_filter":
        filters = [grad.flatten(2) if grad.dim() > 3 else grad for grad in grads if grad.dim() > 2]
        rows = [grad.flatten(2).transpose(0, 1) for grad in filters]  # [filters, ops, n]
        return torch.stack([_cosine_distance(row).sum(dim=0) for row in rows]).sum(dim=0)
    flat = torch.cat([grad.flatten(1) for grad in grads], dim=1)
    if distance == "cosine":
        return _cosine_distance(flat)
    return (flat[:, None] - flat[None]).square().sum(dim=-1)


def _cosine_distance(rows: Tensor) -> Tensor:
    """Return the cosine distances of all pairs of rows, [..., n, m] -> [..., n, n]."""
    norms = rows.norm(dim=-1)
    return 1 - rows @ rows.transpose(-1, -2) / (norms[..., :, None] * norms[..., None, :] + EPS)


def divide(distances: Tensor, criterion: Criterion = "cut") -> Division:
    """Divide ops into two groups with the smallest sum of distances within the groups; the first one of equals.

    Args:
        distances: [ops, ops], symmetric, at least two ops.
        criterion: "cut": the first group has two ops, and the score is the sum of the distances between the groups;
            the best edge has the largest score. "inside": the first group has from two ops to half of them, and the
            score is the negative sum within the groups. The authors use the first on NAS-Bench-201 and the second in
            the DARTS space. Of less than four ops the first group has one.
    """
    table: list[list[float]] = distances.double().tolist()
    ops = range(len(table))
    smallest = min(2, len(table) // 2)
    sizes = range(smallest, (smallest if criterion == "cut" else len(table) // 2) + 1)

    def inside(group: Sequence[int]) -> float:
        return sum(table[a][b] for a, b in combinations(group, 2))

    divisions = []
    for size in sizes:
        for first in combinations(ops, size):
            second = tuple(op for op in ops if op not in first)
            divisions.append((inside(first) + inside(second), first, second))
    within, first, second = min(divisions, key=lambda division: division[0])
    return Division(first, second, inside(ops) - within if criterion == "cut" else -within)
