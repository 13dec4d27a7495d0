"""Second-order architecture gradient through one unrolled weight step (DARTS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from nas.gradients.base import BilevelStep, Weights, grad_or_zeros
from nas.utils.ranges import POSITIVE, check_ranges


@check_ranges(radius=POSITIVE)
class Unrolled:
    """The gradient one weight step ahead: DARTS' second order (Liu et al., ICLR 2019, equations 6 to 8).

    The unrolled step is w' = w - lr * (momentum * buffer + dL_train/dw + decay * w). The weight
    optimizer gives learning rate, momentum and decay; Nesterov momentum is ignored, as in the authors' code. The
    supernet's weights are never modified. The computation is always in full precision.

    Args:
        radius: the Hessian-vector product is a central difference with step radius / |dL_val/dw'|, as in the
            authors' code.
        exact: use double backward instead of the difference, which takes more memory. In a distributed search each
            rank then looks ahead along its own gradient.
    """

    full_precision = True

    def __init__(self, radius: float = 0.01, exact: bool = False) -> None:
        self.radius = radius
        self.exact = exact

    def __call__(self, step: BilevelStep) -> list[Tensor]:
        if not self.exact:
            return self._gradient(step)
        with torch.compiler.set_stance("force_eager"):  # compiled code has no second derivative
            return self._gradient(step)

    def _gradient(self, step: BilevelStep) -> list[Tensor]:
        steps = _optimizer_steps(step.optimizer, step.weights)
        names, params = list(step.weights), list(step.weights.values())
        train = grad_or_zeros(step.loss(step.train), params, create_graph=self.exact)
        if not self.exact:
            train = step.reduce(train)
        rates = [steps[name].lr for name in names]
        ahead = {
            name: p - rate * (steps[name].momentum + grad + steps[name].decay * p)
            for name, p, rate, grad in zip(names, params, rates, train, strict=True)
        }
        if self.exact:
            return step.reduce(grad_or_zeros(step.loss(step.val, ahead), step.alphas))
        leaves = {name: p.detach().requires_grad_() for name, p in ahead.items()}
        grads = step.reduce(grad_or_zeros(step.loss(step.val, leaves), [*step.alphas, *leaves.values()]))
        direct, vector = grads[: len(step.alphas)], grads[len(step.alphas) :]
        product = step.reduce(self._hessian_vector_product(step, rates, vector))
        return [d - p for d, p in zip(direct, product, strict=True)]

    def _hessian_vector_product(
        self, step: BilevelStep, rates: Sequence[float], vector: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return d/d(alpha) of dL_train/dw, times ``vector`` and the learning rates, by a central difference."""
        norm = torch.stack([v.square().sum() for v in vector]).sum().sqrt()
        length = self.radius / norm.clamp_min(torch.finfo(norm.dtype).tiny)  # a zero vector gives a zero product
        # Different rates per group change the direction. The common case keeps the authors' arithmetic.
        rate = max(rates) or 1.0  # if all rates are 0, the direction is arbitrary
        scaled = [v if r == rate else v * (r / rate) for v, r in zip(vector, rates, strict=True)]
        sides = []
        for sign in (1, -1):
            moved = {
                n: (w + sign * length * v).detach() for (n, w), v in zip(step.weights.items(), scaled, strict=True)
            }
            sides.append(grad_or_zeros(step.loss(step.train, moved), step.alphas))
        return [rate * (plus - minus) / (2 * length) for plus, minus in zip(*sides, strict=True)]


class _OptimizerStep(NamedTuple):
    """Terms of the next SGD step of one weight."""

    lr: float
    momentum: Tensor | float
    """Momentum times the momentum buffer."""
    decay: float


def _optimizer_steps(optimizer: Optimizer, weights: Weights) -> dict[str, _OptimizerStep]:
    groups: dict[int, dict[str, Any]] = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    steps: dict[str, _OptimizerStep] = {}
    for name, p in weights.items():
        group = groups[id(p)]
        buffer = optimizer.state[p].get("momentum_buffer") if p in optimizer.state else None
        momentum = 0.0 if buffer is None else group.get("momentum", 0.0) * buffer
        steps[name] = _OptimizerStep(group["lr"], momentum, group.get("weight_decay", 0.0))
    return steps
