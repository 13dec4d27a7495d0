"""Tests of the density of the concrete distribution."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import RelaxedOneHotCategorical

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.objectives.concrete_density import concrete_log_density
from nas.relaxations.gumbel import Gumbel


@pytest.mark.parametrize("tau", [0.2, 1.0, 3.0])
def test_concrete_log_density_matches_torch(tau: float) -> None:
    logits = torch.randn(4, 5, dtype=torch.float64)
    expected = RelaxedOneHotCategorical(torch.tensor(tau, dtype=torch.float64), logits=logits)
    sample = expected.sample()
    mask = torch.ones_like(logits, dtype=torch.bool)
    torch.testing.assert_close(concrete_log_density(logits, sample, tau, mask), expected.log_prob(sample))
    wider = torch.cat([sample, torch.zeros(4, 1)], -1), torch.cat([mask, ~mask[:, :1]], -1)
    got = concrete_log_density(torch.cat([logits, torch.ones(4, 1)], -1), wider[0], tau, wider[1])
    torch.testing.assert_close(got, expected.log_prob(sample))


@pytest.mark.parametrize("tau", [0.5, 2.0])
def test_concrete_log_density_matches_gumbel_samples(tau: float) -> None:
    """Compare the share of samples below a point with the integral of the density, for two ops."""
    cells = {"cell": Cell(tuple((0, n) for n in range(1, 20001)), ("a", "b"), (1,))}
    torch.manual_seed(0)
    relaxation, masks = Gumbel(cells, hard=False, tau=tau, init_mean=1.0, init_std=0.0), Masks(cells)
    relaxation.alpha["cell"].data[:, 0] += 0.7
    samples = relaxation.sample(masks)["cell"].op[:, 0].detach().double()
    grid = torch.linspace(0, 1, 100_001, dtype=torch.float64)[1:-1]
    points = torch.stack([grid, 1 - grid], -1)
    logits = torch.tensor([1.7, 1.0], dtype=torch.float64)
    density = concrete_log_density(logits, points, tau, torch.ones_like(points, dtype=torch.bool)).exp()
    below = density.cumsum(0) / 100_000
    assert float(below[-1]) == pytest.approx(1, abs=0.01)
    for at in (0.05, 0.3, 0.5, 0.8, 0.97):
        expected = float(below[int(at * 100_000) - 1])
        assert float((samples < at).double().mean()) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("tau", [0.03, 1.0])
def test_concrete_log_density_of_a_zero_weight_is_that_of_the_smallest_number(tau: float) -> None:
    logits, mask = torch.tensor([0.3, -0.2, 0.1]), torch.ones(3, dtype=torch.bool)
    tiny = torch.finfo(torch.float32).tiny
    found, expected = (
        concrete_log_density(logits, torch.tensor([0.75, 0.25, least]), tau, mask) for least in (0.0, tiny)
    )
    assert bool(found.isfinite()) and torch.equal(found, expected)
