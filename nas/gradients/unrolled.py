"""Second-order architecture gradient through one unrolled weight step (DARTS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from nas.gradients.base import BilevelStep, Weights, grad_or_zeros
from nas.utils.errors import unknown
from nas.utils.ranges import POSITIVE, check_ranges


@check_ranges(radius=POSITIVE, clip_norm=POSITIVE)
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
        clip_norm: maximum norm of dL_train/dw in the unrolled step, as in the weight step, and of dL_val/dw'; None: no
            clipping. The authors' recurrent search (quark0/darts, rnn/architect.py) multiplies the Hessian-vector
            product by clip_norm / |dL_train/dw|, also if that is above 1. ``exact`` limits the factor to 1.
        unmoved: names of weights that the unrolled step leaves as they are. In the authors' recurrent search this is
            the matrix that embedding and decoder share, which a copy of the state_dict restores.

    Raises:
        NasError: on the first step, if a name of ``unmoved`` is not a weight.
    """

    full_precision = True

    def __init__(
        self,
        radius: float = 0.01,
        exact: bool = False,
        clip_norm: float | None = None,
        unmoved: Sequence[str] = (),
    ) -> None:
        self.radius = radius
        self.exact = exact
        self.clip_norm = clip_norm
        self.unmoved = frozenset(unmoved)

    def __call__(self, step: BilevelStep) -> list[Tensor]:
        if not self.exact:
            return self._gradient(step)
        with torch.compiler.set_stance("force_eager"):  # compiled code has no second derivative
            return self._gradient(step)

    def _gradient(self, step: BilevelStep) -> list[Tensor]:
        unknown_names = sorted(self.unmoved - set(step.weights))
        if unknown_names:
            raise unknown("method.arch_step.gradient.unmoved", unknown_names[0], list(step.weights))
        steps = optimizer_steps(step.optimizer, step.weights)
        names, params = list(step.weights), list(step.weights.values())
        train = grad_or_zeros(step.loss(step.train), params, create_graph=self.exact)
        if not self.exact:
            train = step.reduce(train)
        train, factor = self._clip(train)
        rates = [steps[name].lr for name in names]
        ahead = {
            name: p if name in self.unmoved else p - rate * (steps[name].momentum + grad + steps[name].decay * p)
            for name, p, rate, grad in zip(names, params, rates, train, strict=True)
        }
        if self.exact:
            return step.reduce(grad_or_zeros(step.loss(step.val, ahead), step.alphas))
        leaves = {name: p.detach().requires_grad_() for name, p in ahead.items()}
        grads = step.reduce(grad_or_zeros(step.loss(step.val, leaves), [*step.alphas, *leaves.values()]))
        direct, (vector, _) = grads[: len(step.alphas)], self._clip(grads[len(step.alphas) :])
        product = step.reduce(difference_product(step, rates, vector, difference_length(self.radius, vector)))
        if factor is not None:
            product = [factor * p for p in product]
        return [d - p for d, p in zip(direct, product, strict=True)]

    def _clip(self, grads: list[Tensor]) -> tuple[list[Tensor], Tensor | None]:
        """Return gradients clipped to ``clip_norm``, and the factor before it is limited to 1; None: no clipping."""
        if self.clip_norm is None:
            return grads, None
        factor = self.clip_norm / (_norm(grads) + 1e-6)
        return [grad * factor.clamp(max=1.0) for grad in grads], factor


def difference_product(
    step: BilevelStep, rates: Sequence[float], vector: Sequence[Tensor], length: Tensor
) -> list[Tensor]:
    """Return d/d(alpha) of dL_train/dw, times ``vector`` and the learning rates, by a central difference.

    Args:
        step: the architecture step; its weights are not changed.
        rates: learning rate of each weight.
        vector: one tensor per weight.
        length: step of the difference along ``vector``, a scalar.
    """
    # Different rates per group change the direction. The common case keeps the authors' arithmetic.
    rate = max(rates) or 1.0  # if all rates are 0, the direction is arbitrary
    scaled = [v if r == rate else v * (r / rate) for v, r in zip(vector, rates, strict=True)]
    sides = []
    for sign in (1, -1):
        moved = {n: (w + sign * length * v).detach() for (n, w), v in zip(step.weights.items(), scaled, strict=True)}
        sides.append(grad_or_zeros(step.loss(step.train, moved), step.alphas))
    return [rate * (plus - minus) / (2 * length) for plus, minus in zip(*sides, strict=True)]


def difference_length(radius: float, vector: Sequence[Tensor]) -> Tensor:
    """Return ``radius`` divided by the norm of ``vector``, a scalar. A zero vector then gives a zero product."""
    norm = _norm(vector)
    return radius / norm.clamp_min(torch.finfo(norm.dtype).tiny)


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([tensor.square().sum() for tensor in tensors]).sum().sqrt()


class OptimizerStep(NamedTuple):
    """Terms of the next SGD step of one weight."""

    lr: float
    momentum: Tensor | float
    """Momentum times the momentum buffer."""
    decay: float


def optimizer_steps(optimizer: Optimizer, weights: Weights) -> dict[str, OptimizerStep]:
    """Return the terms of the next step of each weight by name."""
    groups: dict[int, dict[str, Any]] = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    steps: dict[str, OptimizerStep] = {}
    for name, p in weights.items():
        group = groups[id(p)]
        buffer = optimizer.state[p].get("momentum_buffer") if p in optimizer.state else None
        momentum = 0.0 if buffer is None else group.get("momentum", 0.0) * buffer
        steps[name] = OptimizerStep(group["lr"], momentum, group.get("weight_decay", 0.0))
    return steps
