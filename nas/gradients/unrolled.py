"""The architecture gradient one weight step ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from nas.gradients.base import BilevelStep, Weights, slopes


class Unrolled:
    """The gradient one weight step ahead: DARTS' second order (Liu et al., 2019, equations 6 to 8).

    The step w' = w - lr * (momentum * buffer + dL_train + decay * w) reads rate, momentum and decay from
    the weight optimizer and leaves Nesterov's look-ahead out, as the authors do. By default the
    Hessian-vector product is their central difference with step ``radius`` / |dL_val/dw'|; ``exact`` takes
    it by double backward instead, at more memory; with several ranks each then looks ahead along its own
    gradient. The weights themselves are never written to. Always in full precision.
    """

    full_precision = True

    def __init__(self, radius: float = 0.01, exact: bool = False) -> None:
        self.radius = radius
        self.exact = exact

    def __call__(self, step: BilevelStep) -> list[Tensor]:
        steps = _steps(step.optimizer, step.weights)
        names, params = list(step.weights), list(step.weights.values())
        train = slopes(step.loss(step.train), params, create_graph=self.exact)
        if not self.exact:
            train = step.reduce(train)
        rates = [steps[name][0] for name in names]
        ahead = {
            name: p - rate * (steps[name][1] + slope + steps[name][2] * p)
            for name, p, rate, slope in zip(names, params, rates, train, strict=True)
        }
        if self.exact:
            return step.reduce(slopes(step.loss(step.val, ahead), step.alphas))
        leaves = {name: p.detach().requires_grad_() for name, p in ahead.items()}
        found = step.reduce(slopes(step.loss(step.val, leaves), [*step.alphas, *leaves.values()]))
        direct, vector = found[: len(step.alphas)], found[len(step.alphas) :]
        product = step.reduce(self._product(step, rates, vector))
        return [d - p for d, p in zip(direct, product, strict=True)]

    def _product(self, step: BilevelStep, rates: Sequence[float], vector: Sequence[Tensor]) -> list[Tensor]:
        """d/d(alpha) of dL_train/dw, times the vector and the learning rates, by a central difference."""
        norm = torch.stack([v.square().sum() for v in vector]).sum().sqrt()
        length = self.radius / norm.clamp_min(torch.finfo(norm.dtype).tiny)  # no direction, no product
        # groups with rates of their own bend the direction; the common case keeps the authors' arithmetic
        rate = max(rates) or 1.0  # of a group at rate 0 no direction could be told
        scaled = [v if r == rate else v * (r / rate) for v, r in zip(vector, rates, strict=True)]
        sides = []
        for sign in (1, -1):
            moved = {
                n: (w + sign * length * v).detach() for (n, w), v in zip(step.weights.items(), scaled, strict=True)
            }
            sides.append(slopes(step.loss(step.train, moved), step.alphas))
        return [rate * (plus - minus) / (2 * length) for plus, minus in zip(*sides, strict=True)]


def _steps(optimizer: Optimizer, weights: Weights) -> dict[str, tuple[float, Tensor | float, float]]:
    """For each weight: its learning rate, momentum times its buffer, and its weight decay."""
    groups: dict[int, dict[str, Any]] = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    found: dict[str, tuple[float, Tensor | float, float]] = {}
    for name, p in weights.items():
        group = groups[id(p)]
        buffer = optimizer.state[p].get("momentum_buffer") if p in optimizer.state else None
        momentum = 0.0 if buffer is None else group.get("momentum", 0.0) * buffer
        found[name] = (group["lr"], momentum, group.get("weight_decay", 0.0))
    return found
