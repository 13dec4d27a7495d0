"""Tests of ReinMax: distribution, exact second-order gradient by enumeration, masks and execution."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.relaxations.edge_normalized import EdgeNormalized
from nas.relaxations.reinmax import ReinMax, reinmax
from nas.spaces.nas_bench_201.notation import OPS
from nas.utils.errors import NasError

CELLS = {"a": Cell(((0, 1),), OPS, (1,))}
MASK = torch.tensor([True, True, False, True, True])


def expected_gradient(alpha: Tensor, function: Any, tau: float) -> tuple[Tensor, Tensor]:
    """Return the mean of the estimator over all samples, and the exact gradient of the expectation."""
    p = alpha.masked_fill(~MASK, -torch.inf).softmax(-1)
    mean, exact = torch.zeros_like(alpha), torch.zeros((), dtype=alpha.dtype)
    for column in MASK.nonzero().flatten().tolist():
        one_hot = F.one_hot(torch.tensor(column), len(alpha)).to(alpha)
        (grad,) = torch.autograd.grad(function(reinmax(alpha, MASK, one_hot, tau)), alpha)
        mean += p[column].detach() * grad
        exact = exact + p[column] * function(one_hot)
    return mean, torch.autograd.grad(exact, alpha)[0]


def test_reinmax_is_exact_for_quadratic_functions_at_temperature_one() -> None:
    torch.manual_seed(1)
    alpha = torch.randn(5, dtype=torch.float64).requires_grad_()
    matrix, linear = torch.randn(5, 5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    mean, exact = expected_gradient(alpha, lambda v: v @ matrix @ v + linear @ v, 1.0)
    torch.testing.assert_close(mean, exact, rtol=1e-10, atol=1e-12)
    assert mean[2] == 0 and mean.abs().max() > 0.05
    mean, exact = expected_gradient(alpha, lambda v: v @ matrix @ v + linear @ v, 2.0)
    assert (mean - exact).abs().max() > 1e-3, "another temperature is biased"


def test_reinmax_differs_from_the_exact_gradient_of_a_cubic_function() -> None:
    torch.manual_seed(1)
    alpha, linear = torch.randn(2, 5, dtype=torch.float64)
    mean, exact = expected_gradient(alpha.requires_grad_(), lambda v: (v @ linear) ** 3, 1.0)
    assert (mean - exact).abs().max() > 1e-3


def test_reinmax_samples_from_softmax_and_returns_one_hot_weights() -> None:
    torch.manual_seed(2)
    alpha = torch.tensor([0.5, -1.0, 1.2, 0.0, 0.3])
    weights, chosen = ReinMax(CELLS, tau=3.0).relax(alpha.expand(40_000, 5), MASK.expand(40_000, 5))
    assert chosen is None
    counts = weights.sum(0).double()
    assert torch.equal(weights.bool().sum(-1), torch.ones(40_000).long()) and counts[2] == 0
    expected = 40_000 * alpha.double().masked_fill(~MASK, -torch.inf).softmax(-1)
    assert stats.chisquare(counts[MASK].numpy(), expected[MASK].numpy()).pvalue > 1e-4


def test_reinmax_executes_all_ops_or_the_sampled_one() -> None:
    masks = Masks(CELLS)
    for execute, count in (("all", 5), ("sampled", 1)):
        arch = ReinMax(CELLS, execute=execute)  # type: ignore[arg-type]
        assert sum(arch.sample(masks)["a"].active[0]) == count


def test_reinmax_has_no_nan_in_a_fully_masked_row() -> None:
    alpha = torch.randn(2, 5).requires_grad_()
    mask = torch.tensor([[False] * 5, [True] * 5])
    weights = reinmax(alpha, mask, F.one_hot(torch.tensor([0, 3]), 5) * mask, 1.0)
    (grad,) = torch.autograd.grad((weights * torch.arange(5)).sum(), alpha)
    assert torch.equal(weights[0], torch.zeros(5)) and not grad[0].any() and grad[1].any() and grad.isfinite().all()


def test_reinmax_composes_with_edge_normalization() -> None:
    relaxation = EdgeNormalized({"a": Cell(((0, 2), (1, 2)), OPS, (2,))}, ReinMax)
    row = relaxation.sample(Masks(relaxation.cells))["a"]
    assert row.edge is not None and row.op.sum() == 2 and row.op.requires_grad


@pytest.mark.parametrize("options", [{"tau": 0.5}, {"execute": "some"}])
def test_reinmax_refuses_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(NasError, match="|".join(options)):
        ReinMax(CELLS, **options)
