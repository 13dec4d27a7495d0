"""Shapley values: exact values by enumeration, truncation by an independent program, and scaling."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import combinations, permutations

import pytest
import torch
from torch import Tensor

from nas.gradients.shapley import contributions, lower_estimate, standardize

PLAYERS = 4


class Table:
    """A game of ``PLAYERS`` players with a random value for each set of them, and its evaluations."""

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(0)
        sets = [frozenset(s) for size in range(PLAYERS + 1) for s in combinations(range(PLAYERS), size)]
        values = low + (high - low) * torch.rand(len(sets), generator=generator, dtype=torch.float64)
        self.values = dict(zip(sets, values.tolist(), strict=True))
        self.removed: list[tuple[int, ...]] = []

    def __call__(self, removed: Sequence[int]) -> Tensor:
        self.removed.append(tuple(removed))
        return torch.tensor(self.values[frozenset(range(PLAYERS)) - set(removed)], dtype=torch.float64)

    def shapley(self, player: int) -> float:
        """Return the Shapley value of a player by its definition, a sum over all sets without it."""
        total = 0.0
        for without, value in self.values.items():
            if player not in without:
                weight = math.factorial(len(without)) * math.factorial(PLAYERS - len(without) - 1)
                total += weight * (self.values[without | {player}] - value)
        return total / math.factorial(PLAYERS)


def test_mean_over_all_orders_is_the_shapley_value() -> None:
    game = Table()
    orders = list(permutations(range(PLAYERS)))
    mean = torch.stack([contributions(game, order, threshold=0.0) for order in orders]).mean(dim=0)
    exact = [game.shapley(player) for player in range(PLAYERS)]
    assert mean.tolist() == pytest.approx(exact, abs=1e-12)
    assert sum(exact) == pytest.approx(game.values[frozenset(range(PLAYERS))] - game.values[frozenset()])


def test_random_orders_approach_the_shapley_value() -> None:
    game, generator = Table(), torch.Generator().manual_seed(1)
    orders = [torch.randperm(PLAYERS, generator=generator).tolist() for _ in range(1000)]
    found = torch.stack([contributions(game, order, threshold=0.0) for order in orders])
    exact = torch.tensor([game.shapley(player) for player in range(PLAYERS)], dtype=torch.float64)
    assert ((found.mean(dim=0) - exact).abs() < 4 * found.std(dim=0) / len(orders) ** 0.5).all()


def truncated(values: Sequence[float], order: Sequence[int], limit: float) -> list[float]:
    """Return the decreases of successive ``values``, up to and including the first value below ``limit``."""
    found = [0.0] * len(order)
    for before, after, player in zip(values, values[1:], order, strict=False):
        found[player] = before - after
        if after < limit:
            break
    return found


@pytest.mark.parametrize("order", list(permutations(range(PLAYERS))))
@pytest.mark.parametrize("threshold", [0.5, 0.9, 1.0])
def test_players_after_a_large_decrease_contribute_nothing(order: tuple[int, ...], threshold: float) -> None:
    game = Table()
    values = [float(game(order[:count])) for count in range(PLAYERS + 1)]
    game.removed.clear()
    expected = truncated(values, order, threshold * values[0])
    assert contributions(game, order, threshold).tolist() == pytest.approx(expected, abs=1e-15)
    below = next((count for count, value in enumerate(values) if value < threshold * values[0]), PLAYERS)
    assert game.removed == [order[:count] for count in range(min(below + 1, PLAYERS) + 1)], "one more than needed"


def test_limit_of_a_negative_value_is_below_it() -> None:
    game, order = Table(-4.0, -1.0), (2, 0, 3, 1)
    values = [float(game(order[:count])) for count in range(PLAYERS + 1)]
    for threshold in (0.5, 0.9, 1.0):
        expected = truncated(values, order, values[0] - (1 - threshold) * abs(values[0]))
        assert contributions(game, order, threshold).tolist() == pytest.approx(expected, abs=1e-15)
    assert truncated(values, order, 0.9 * values[0]) != truncated(values, order, 1.5 * values[0])


def test_lower_estimate_subtracts_the_standard_deviation() -> None:
    samples = torch.tensor([[1.0, 0.0], [2.0, 0.0], [6.0, 3.0]], dtype=torch.float64)
    expected = [statistics.mean(c) - statistics.pstdev(c) for c in samples.T.tolist()]
    assert lower_estimate(samples).tolist() == pytest.approx(expected)
    assert lower_estimate(samples[:1]).tolist() == [1.0, 0.0]


def test_standardize() -> None:
    values = [1.0, 2.0, 6.0, -3.0]
    expected = [(v - statistics.mean(values)) / statistics.stdev(values) for v in values]
    assert standardize(torch.tensor(values, dtype=torch.float64)).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, 0.1, -78.3])
@pytest.mark.parametrize("count", [1, 3, 7])
def test_equal_values_standardize_to_zero(value: float, count: int) -> None:
    assert standardize(torch.full((count,), value, dtype=torch.float64)).tolist() == [0.0] * count
