"""Tests of uniformly sampled paths."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.relaxations.uniform import Uniform

MIN_P_VALUE = 1e-4  # of a true hypothesis; seeds are fixed, so that results do not vary


@pytest.mark.parametrize("inputs", [None, 2])
def test_uniform_samples_all_genotypes_equally(inputs: int | None) -> None:
    """Two nodes with two and three edges and two ops: 32 genotypes, or 48 if the second node keeps two edges."""
    torch.manual_seed(7)
    cell = Cell(((0, 2), (1, 2), (0, 3), (1, 3), (2, 3)), ("none", "a", "b"), (3,), inputs=inputs)
    relaxation, masks = Uniform({"cell": cell}), Masks({"cell": cell})
    seen: dict[str, int] = {}
    for _ in range(6000):
        weights = relaxation.sample(masks)["cell"]
        assert weights.op.tolist() == weights.active
        seen[str(weights.active)] = seen.get(str(weights.active), 0) + 1
    assert len(seen) == (32 if inputs is None else 48)
    assert stats.chisquare(list(seen.values())).pvalue > MIN_P_VALUE
