"""nas.utils.foreach_sgd: parameters that are updated together, with equal results."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer

from nas.utils.foreach_sgd import use_foreach


class CustomSGD(SGD):
    """SGD of another class, whose step may differ."""


class CustomOptimizer(Optimizer):
    """Optimizer of a user, without options that choose an implementation."""

    def __init__(self, params: list[nn.Parameter]) -> None:
        super().__init__(params, {"lr": 0.1})


def parameters(dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    torch.manual_seed(0)
    shapes = ((3, 5), (7,), (2, 4, 3, 3), (1,), (), (33, 17))
    return [nn.Parameter(torch.randn(shape, dtype=dtype)) for shape in shapes]


def train(optimizer: Optimizer, trained: list[nn.Parameter], steps: int = 7) -> None:
    """Take steps with random gradients; each step leaves out another parameter, as a sampled path does."""
    torch.manual_seed(1)
    for step in range(steps):
        for number, p in enumerate(trained):
            p.grad = None if number == step % len(trained) else torch.randn_like(p)
        optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.9, "weight_decay": 3e-4},
        {"momentum": 0.9, "weight_decay": 5e-4, "nesterov": True},
        {"momentum": 0.9, "maximize": True},
        {"momentum": 0.9, "dampening": 0.5},
        {},
    ],
)
def test_results_are_equal_bit_for_bit(options: dict[str, Any], dtype: torch.dtype) -> None:
    single, together = parameters(dtype), parameters(dtype)
    train(SGD(single, lr=0.1, foreach=False, **options), single)
    optimizer = use_foreach(SGD(together, lr=0.1, **options))
    train(optimizer, together)
    assert optimizer.param_groups[0]["foreach"] is True
    assert all(torch.equal(one, other) for one, other in zip(single, together, strict=True))


def test_options_of_the_user_and_other_optimizers_are_kept() -> None:
    for optimizer in (
        SGD(parameters(), lr=0.1, foreach=False),
        SGD(parameters(), lr=0.1, fused=True),
        CustomSGD(parameters(), lr=0.1),
        Adam(parameters()),
    ):
        before = optimizer.param_groups[0]["foreach"]
        assert use_foreach(optimizer) is optimizer and optimizer.param_groups[0]["foreach"] is before
    own = CustomOptimizer(parameters())
    assert use_foreach(own) is own and "foreach" not in own.param_groups[0]
    meta = SGD([nn.Parameter(torch.empty(2, device="meta"))], lr=0.1)
    assert use_foreach(meta).param_groups[0]["foreach"] is None
