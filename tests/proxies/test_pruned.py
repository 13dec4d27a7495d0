"""A pruned supernet: the remaining ops of an edge have equal weights."""

from __future__ import annotations

import pytest
import torch

from nas.proxies.pruned import equal_weights


def test_remaining_ops_have_equal_weights_of_sum_one() -> None:
    rows = [[True, True, False], [False, True, False], [False, False, False], [True, True, True]]
    weights = equal_weights({"cell": rows}, torch.zeros(()))["cell"]
    third = pytest.approx(1 / 3)
    assert weights.op.tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 0], [third, third, third]]
    assert weights.active == rows and weights.edge is None
