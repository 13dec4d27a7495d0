"""Learning rate of a single step."""

from __future__ import annotations

import pytest
import torch

from nas.utils.scaled_lr import scaled_lr


def test_learning_rates_are_scaled_within_the_context_and_restored_exactly() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": parameters[:1], "lr": 0.1}, {"params": parameters[1:], "lr": 20.0}])
    with pytest.raises(KeyError), scaled_lr(optimizer, 17 / 35):
        assert [group["lr"] for group in optimizer.param_groups] == [0.1 * (17 / 35), 20.0 * (17 / 35)]
        raise KeyError
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 20.0]
