"""Tests of the Gumbel-softmax relaxation: distribution, density and gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from nas.architecture.cell import Cell
from nas.relaxations.gumbel import Gumbel
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.notation import OPS

MIN_P_VALUE = 1e-4  # of a true hypothesis; seeds are fixed, so that results do not vary


def gumbel(hard: bool, tau: float) -> Gumbel:
    torch.manual_seed(4)
    return Gumbel({"a": Cell(((0, 1),), OPS, (1,))}, hard=hard, tau=tau)


@pytest.mark.parametrize("tau", [0.1, 10.0])
def test_hard_gumbel_samples_one_hot_from_softmax(tau: float) -> None:
    alpha, mask = torch.tensor([0.5, -1.0, 1.2, 0.0, 0.3]), torch.tensor([True, True, True, False, True])
    weights, chosen = gumbel(True, tau).relax(alpha.expand(40_000, 5), mask.expand(40_000, 5))
    assert chosen is not None and torch.equal(weights, F.one_hot(chosen, 5).float())
    counts = chosen.bincount(minlength=5).double()
    expected = alpha.double().masked_fill(~mask, -torch.inf).softmax(-1) * len(chosen)
    assert counts[3] == 0
    assert stats.chisquare(counts[mask].numpy(), expected[mask].numpy()).pvalue > MIN_P_VALUE


@pytest.mark.parametrize("hard", [True, False])
def test_gumbel_gradient_is_that_of_soft_weights(hard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    tau, alpha, grad, noise = 0.7, *torch.randn(3, 4, 5, dtype=torch.float64)
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[1, 2] = mask[3, :3] = False
    relaxation = gumbel(hard, tau)
    monkeypatch.setattr(relaxation, "noise", lambda alpha: noise)
    leaf = alpha.clone().requires_grad_()
    (found,) = torch.autograd.grad(relaxation.relax(leaf, mask)[0], leaf, grad)
    for row in range(4):
        p, q = torch.zeros(5).double(), torch.zeros(5).double()
        kept = mask[row].nonzero().flatten()
        q[kept] = alpha[row, kept].exp() / alpha[row, kept].exp().sum()
        unscaled = ((q[kept].log() + noise[row, kept]) / tau).exp()
        p[kept] = unscaled / unscaled.sum()
        logits = p * (grad[row] - (p * grad[row]).sum()) / tau  # through softmax
        torch.testing.assert_close(found[row], logits - q * logits.sum())  # through log softmax


def test_soft_gumbel_has_the_concrete_density() -> None:
    """For two ops the logit of the first weight is logistic around (a - b) / tau with scale 1 / tau."""
    alpha, tau = torch.tensor([0.4, -0.5], dtype=torch.float64), 2.0
    mask = torch.ones(50_000, 2, dtype=torch.bool)
    weights, chosen = gumbel(False, tau).relax(alpha.expand(50_000, 2), mask)
    assert chosen is None
    logit = (weights[:, 0].log() - weights[:, 1].log()).numpy()
    assert stats.kstest(logit, stats.logistic(float(alpha[0] - alpha[1]) / tau, 1 / tau).cdf).pvalue > MIN_P_VALUE


def test_gumbel_initializes_alpha_around_init_mean() -> None:
    torch.manual_seed(0)
    alpha = Gumbel({"normal": Darts((3, 8, 8), 10).cells["normal"]}, init_mean=1.0, init_std=0.01).alpha["normal"]
    assert float(alpha.mean()) == pytest.approx(1, abs=0.005) and 0.008 < float(alpha.std()) < 0.012
