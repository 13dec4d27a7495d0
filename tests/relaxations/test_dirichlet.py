"""Tests of the Dirichlet relaxation against closed forms and sampled expectations."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor
from torch.distributions import Dirichlet as Reference
from torch.distributions import kl_divergence

from nas.architecture.cell import Cell
from nas.relaxations.dirichlet import Dirichlet, dirichlet_kl, sample_dirichlet
from nas.spaces.nas_bench_201.notation import OPS

MIN_P_VALUE = 1e-4  # of a true hypothesis; seeds are fixed, so that results do not vary


def assert_mean_close(samples: Tensor, truth: Tensor) -> None:
    """Assert that the mean of ``samples`` [count, ...] is within five small standard errors of ``truth``."""
    error = samples.std(0) / len(samples) ** 0.5
    assert (error < 0.05 * (truth.abs() + 0.1)).all()
    assert ((samples.mean(0) - truth).abs() < 5 * error).all()


def test_dirichlet_kl_matches_torch_and_samples() -> None:
    torch.manual_seed(1)
    concentration = F.elu(2 * torch.randn(6, 5, dtype=torch.float64)) + 1
    uniform = Reference(torch.ones_like(concentration))
    torch.testing.assert_close(dirichlet_kl(concentration), kl_divergence(Reference(concentration), uniform))
    samples = Reference(concentration).sample((100_000,))
    log_ratio = Reference(concentration).log_prob(samples) - uniform.log_prob(samples)
    assert_mean_close(log_ratio, dirichlet_kl(concentration))


def test_sample_dirichlet_gradient_matches_closed_moments() -> None:
    base = torch.tensor([0.4, 1.0, 2.5, 0.8], dtype=torch.float64)
    moments: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
        "mean": (lambda x: x, lambda b: b / b.sum()),
        "square": (lambda x: x**2, lambda b: b * (b + 1) / (b.sum() * (b.sum() + 1))),
        "log": (lambda x: x.log(), lambda b: b.digamma() - b.sum().digamma()),
        "product": (lambda x: x * x.roll(1, -1), lambda b: b * b.roll(1) / (b.sum() * (b.sum() + 1))),
    }
    generator = torch.Generator().manual_seed(0)
    for value, expectation in moments.values():
        concentration = base.expand(200_000, 4).clone().requires_grad_()
        found = value(sample_dirichlet(concentration, generator))
        assert_mean_close(found.detach(), expectation(base))
        truth = torch.autograd.functional.jacobian(expectation, base)
        for i in range(4):
            (slope,) = torch.autograd.grad(found[:, i].sum(), concentration, retain_graph=True)
            assert_mean_close(slope, truth[i])


def test_dirichlet_penalty_gradient() -> None:
    cells = {"a": Cell(((0, 1), (0, 2)), ("x", "y", "z"), (2,))}
    for regularizer in ("l2", "kl"):
        relaxation = Dirichlet(cells, regularizer, reg_scale=0.3, init_std=1.0).double()
        alpha = relaxation.alpha["a"]
        (found,) = torch.autograd.grad(relaxation.penalty(), alpha)
        if regularizer == "l2":
            torch.testing.assert_close(found, 0.3 * alpha.detach())
            continue
        concentration = F.elu(alpha) + 1
        divergence = kl_divergence(Reference(concentration), Reference(torch.ones_like(concentration)))
        torch.testing.assert_close(found, torch.autograd.grad(0.3 * divergence.sum(), alpha)[0])


def test_dirichlet_relax_samples_unmasked_entries() -> None:
    torch.manual_seed(3)
    alpha, mask = torch.tensor([0.7, -0.9, 1.5, 0.2, -0.3]), torch.tensor([True, False, True, True, False])
    relaxation = Dirichlet({"a": Cell(((0, 1),), OPS, (1,))}).double()
    samples, chosen = relaxation.relax(alpha.double().expand(50_000, 5), mask.expand(50_000, 5))
    assert chosen is None and (samples[:, ~mask] == 0).all()
    left = samples[:, mask]
    torch.testing.assert_close(left.sum(-1), torch.ones_like(left[:, 0]))
    expected = Reference((F.elu(alpha) + 1)[mask].double())
    assert_mean_close(left, expected.mean)
    assert_mean_close((left - expected.mean) ** 2, expected.variance)
    assert_mean_close(
        left[:, 0] * left[:, 1],
        expected.mean[0] * expected.mean[1] * expected.concentration.sum() / (expected.concentration.sum() + 1),
    )
    for i, b in enumerate(expected.concentration.tolist()):
        marginal = stats.beta(b, float(expected.concentration.sum()) - b)
        assert stats.kstest(left[:, i].numpy(), marginal.cdf).pvalue > MIN_P_VALUE
