"""Monte Carlo estimate of the Shapley values of the players of a game."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Game = Callable[[Sequence[int]], Tensor]
"""Returns the value of a game, a scalar, without the players of the given numbers."""
EQUAL = 1e-9
"""Standard deviation below which values count as equal, so that rounding errors are not scaled up."""


def contributions(game: Game, order: Sequence[int], threshold: float) -> Tensor:
    """Return the decrease of the value as each player leaves, float64 [players] on the CPU.

    Their mean over all orders are the Shapley values. The players that remain once the value is below ``threshold``
    times that of all players contribute 0. If this value is negative, such as a log-likelihood, the limit has the same
    distance: 1 - ``threshold`` times its absolute value.

    Args:
        game: value of the game.
        order: permutation of the players, in which they leave.
        threshold: share of the value of all players that ends the evaluation. 0 evaluates until a value is below 0.
    """
    values = [game(())]
    limit = values[0] - (1 - threshold) * values[0].abs()
    for count in range(1, len(order) + 1):
        values.append(game(order[:count]))
        # the value before, so that the device computes the last one during the transfer
        if values[-2] < limit:
            values.pop()
            break
    decreases = -torch.stack(values).cpu().double().diff()
    result = torch.zeros(len(order), dtype=torch.float64)
    result[list(order[: len(decreases)])] = decreases
    return result


def lower_estimate(samples: Tensor) -> Tensor:
    """Return the mean of contributions minus their standard deviation, [samples, players] -> [players]."""
    return samples.mean(dim=0) - samples.std(dim=0, correction=0)


def standardize(values: Tensor) -> Tensor:
    """Return ``values`` [n] with mean 0 and standard deviation 1, zeros if all are equal."""
    centered = values - values.mean()
    std = centered.square().sum().div(max(len(values) - 1, 1)).sqrt()
    return torch.where(std > EQUAL, centered / std.clamp_min(EQUAL), 0.0)
