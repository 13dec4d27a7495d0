"""Tests of gradient matching against sums written by hand."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from nas.gradients.matching import divide, gradient_distances


def test_distances_match_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    grads = [torch.randn(4, *shape, generator=generator, dtype=torch.float64) for shape in ((3, 2, 3, 3), (5,), (2, 6))]
    flat = torch.cat([g.flatten(1) for g in grads], dim=1)
    cosine, squared, filters = (gradient_distances(grads, name) for name in ("cosine", "squared", "per_filter"))  # type: ignore[arg-type]
    for a, b in combinations(range(4), 2):
        norms = float(flat[a].norm() * flat[b].norm())
        assert float(cosine[a, b]) == pytest.approx(1 - float(flat[a] @ flat[b]) / (norms + 1e-6), rel=1e-12)
        assert float(squared[a, b]) == pytest.approx(float((flat[a] - flat[b]).square().sum()), rel=1e-12)
        expected = 0.0
        for grad in (grads[0], grads[2]):  # vectors do not count
            for x, y in zip(grad[a].flatten(1), grad[b].flatten(1), strict=True):
                expected += 1 - float(x @ y) / (float(x.norm() * y.norm()) + 1e-6)
        assert float(filters[a, b]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("ops", "sizes"), [(2, {1}), (3, {1}), (5, {2}), (8, {2, 3, 4})])
def test_divisions_minimize_the_distances_within_the_groups(ops: int, sizes: set[int]) -> None:
    table = torch.rand(ops, ops, generator=torch.Generator().manual_seed(ops), dtype=torch.float64)
    table = (table + table.T).fill_diagonal_(0)
    total = float(table.sum()) / 2

    def inside(group: tuple[int, ...]) -> float:
        return float(table[list(group)][:, list(group)].sum()) / 2

    for criterion, allowed in (("cut", {min(2, ops // 2)}), ("inside", sizes)):
        found = divide(table, criterion)  # type: ignore[arg-type]
        assert sorted(found.first + found.second) == list(range(ops))
        values = [
            inside(first) + inside(tuple(set(range(ops)) - set(first)))
            for size in allowed
            for first in combinations(range(ops), size)
        ]
        within = inside(found.first) + inside(found.second)
        assert within == pytest.approx(min(values))
        assert found.score == pytest.approx(total - within if criterion == "cut" else -within)


def test_division_keeps_similar_ops_together() -> None:
    distances = 1 - torch.eye(5)
    for a, b in ((0, 3), (1, 2), (1, 4), (2, 4)):
        distances[a, b] = distances[b, a] = 0.1
    assert divide(distances) == ((0, 3), (1, 2, 4), pytest.approx(6.0))
