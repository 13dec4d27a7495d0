"""Networks of the ensemble against autograd and torch's Adam."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas.blackbox.predictors.mlp_ensemble import Adam, Networks

SIZES = (6, 5, 4, 1)


def loss_of(weights: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    for number in range(0, len(weights), 2):
        x = x @ weights[number] + weights[number + 1]
        x = x.relu() if number < len(weights) - 2 else x
    return (x[..., 0] - y).abs().mean(dim=1).sum()


def test_gradient_and_steps_equal_those_of_torch() -> None:
    rng = np.random.default_rng(0)
    networks = Networks(3, SIZES, rng)
    weights = [torch.tensor(weight, dtype=torch.float64, requires_grad=True) for weight in networks.weights]
    ours, theirs = Adam(networks.flat, 0.01), torch.optim.Adam(weights, lr=0.01, betas=(0.9, 0.99), eps=1e-7)
    for _ in range(4):
        x = rng.normal(size=(3, 7, 6)).astype(np.float32)
        y = rng.normal(size=(3, 7)).astype(np.float32)
        theirs.zero_grad()
        loss_of(weights, torch.tensor(x).double(), torch.tensor(y).double()).backward()
        gradient = networks.gradient(x, y)
        truth = torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None])
        assert gradient == pytest.approx(truth.numpy(), abs=1e-5) and np.abs(gradient).max() > 0.05
        ours.step(gradient)
        theirs.step()
    for weight, tensor in zip(networks.weights, weights, strict=True):
        assert weight == pytest.approx(tensor.detach().numpy(), abs=1e-4)


def test_members_do_not_mix() -> None:
    """The outputs of a member depend only on its own inputs."""
    networks, rng = Networks(2, SIZES, np.random.default_rng(1)), np.random.default_rng(2)
    x = rng.normal(size=(2, 3, 6)).astype(np.float32)
    changed = x.copy()
    changed[1] += 1
    before, after = networks.forward(x)[-1], networks.forward(changed)[-1]
    assert (before[0] == after[0]).all() and (before[1] != after[1]).any()
