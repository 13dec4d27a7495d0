"""Tests of the implicit gradient against the closed form of a quadratic problem."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from nas.gradients.base import BilevelStep
from nas.gradients.implicit import Implicit
from nas.gradients.unrolled import Unrolled

DOUBLE = torch.float64


class Quadratic:
    """L_train = w A w / 2 - w B alpha + |alpha|^2 and L_val = |w - c|^2 + |alpha|^2, with a known minimum w*(alpha)."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        root = torch.randn(4, 4, generator=generator, dtype=DOUBLE)
        self.a = root @ root.T / 4 + torch.eye(4, dtype=DOUBLE)
        self.b, c = (
            torch.randn(4, 3, generator=generator, dtype=DOUBLE),
            torch.randn(4, generator=generator, dtype=DOUBLE),
        )
        self.c = c
        self.alpha = torch.randn(3, generator=generator, dtype=DOUBLE).requires_grad_()
        solution = torch.linalg.solve(self.a, self.b @ self.alpha.detach())
        self.weights = {"x": nn.Parameter(solution[:2].clone()), "y": nn.Parameter(solution[2:].clone())}
        self.train, self.val = (torch.zeros(1), torch.zeros(1)), (torch.ones(1), torch.zeros(1))

    def loss(self, batch: Any, weights: Any = None) -> Tensor:
        w = torch.cat(list((self.weights if weights is None else weights).values()))
        if batch is self.train:
            return w @ self.a @ w / 2 - w @ self.b @ self.alpha + self.alpha @ self.alpha
        return (w - self.c).square().sum() + self.alpha @ self.alpha

    def step(self, *rates: float) -> BilevelStep:
        groups = [{"params": [w], "lr": lr} for w, lr in zip(self.weights.values(), rates, strict=True)]
        optimizer = SGD(groups, lr=0.1, momentum=0.9, weight_decay=0.1)
        return BilevelStep(self.loss, [self.alpha], self.weights, self.train, self.val, optimizer, lambda t: t)

    def exact(self) -> Tensor:
        """Return d/d(alpha) of L_val(w*(alpha), alpha), w* being the minimum of the training loss."""
        w = torch.cat([p.detach() for p in self.weights.values()])
        return 2 * self.alpha.detach() + torch.linalg.solve(self.a, self.b).T @ (2 * (w - self.c))


@pytest.mark.parametrize("rates", [(0.2, 0.2), (0.3, 0.1)])
def test_implicit_gradient_converges_to_that_of_the_solution(rates: tuple[float, float]) -> None:
    problem = Quadratic()
    (found,) = Implicit(order=400)(problem.step(*rates))
    torch.testing.assert_close(found, problem.exact(), rtol=1e-9, atol=1e-11)
    errors = [float((Implicit(order=k)(problem.step(*rates))[0] - problem.exact()).norm()) for k in (0, 2, 8)]
    assert errors[0] > errors[1] > errors[2] > 1e-6


@pytest.mark.parametrize("rates", [(0.2, 0.2), (0.3, 0.1)])
def test_difference_equals_double_backward(rates: tuple[float, float]) -> None:
    problem = Quadratic()
    (exact,), (difference,) = (Implicit(order=2, radius=radius)(problem.step(*rates)) for radius in (None, 1e-3))
    torch.testing.assert_close(difference, exact, rtol=1e-9, atol=1e-11)


def test_order_zero_is_the_unrolled_gradient_at_a_minimum() -> None:
    """Without decay and momentum the unrolled step does not move the weights at the minimum of the training loss."""
    problem = Quadratic()
    step = problem.step(0.2, 0.2)
    for group in step.optimizer.param_groups:
        group["weight_decay"] = 0.0
    torch.testing.assert_close(Implicit(order=0)(step)[0], Unrolled(exact=True)(step)[0], rtol=1e-9, atol=1e-11)


def test_implicit_gradient_averages_each_product_over_ranks() -> None:
    calls: list[int] = []
    problem = Quadratic()
    step = problem.step(0.2, 0.2)
    counted = BilevelStep(
        *(getattr(step, n) for n in ("loss", "alphas", "weights", "train", "val", "optimizer")),
        lambda t: calls.append(len(t)) or t,
    )  # type: ignore[func-returns-value]
    Implicit(order=3)(counted)
    assert calls == [3, 2, 2, 2, 1], "loss, three Hessian-vector products, mixed product"
