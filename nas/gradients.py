"""The gradient of the validation loss with respect to the architecture parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

Batch = tuple[Tensor, Tensor]
Weights = Mapping[str, Tensor]
Reduce = Callable[[list[Tensor]], list[Tensor]]


class Loss(Protocol):
    """The search's loss on a batch under the present architecture, a fresh sample where it samples.

    ``weights`` replaces the supernet's parameters for this call, by name.
    """

    def __call__(self, batch: Batch, weights: Weights | None = None) -> Tensor: ...


class ArchGradient(Protocol):
    """d(validation loss)/d(alpha), one tensor for each of ``alphas``, averaged over ranks by ``reduce``."""

    def __call__(
        self,
        loss: Loss,
        alphas: Sequence[Tensor],
        weights: Weights,
        train: Batch,
        val: Batch,
        optimizer: Optimizer,
        reduce: Reduce,
    ) -> list[Tensor]: ...


class FirstOrder:
    """The gradient at the present weights: DARTS' first-order approximation."""

    def __call__(
        self,
        loss: Loss,
        alphas: Sequence[Tensor],
        weights: Weights,
        train: Batch,
        val: Batch,
        optimizer: Optimizer,
        reduce: Reduce,
    ) -> list[Tensor]:
        return reduce(_grads(loss(val), alphas))


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

    def __call__(
        self,
        loss: Loss,
        alphas: Sequence[Tensor],
        weights: Weights,
        train: Batch,
        val: Batch,
        optimizer: Optimizer,
        reduce: Reduce,
    ) -> list[Tensor]:
        steps = _steps(optimizer, weights)
        names, params = list(weights), list(weights.values())
        slopes = _grads(loss(train), params, create_graph=self.exact)
        if not self.exact:
            slopes = reduce(slopes)
        rates = [steps[name][0] for name in names]
        ahead = {
            name: p - rate * (steps[name][1] + slope + steps[name][2] * p)
            for name, p, rate, slope in zip(names, params, rates, slopes, strict=True)
        }
        if self.exact:
            return reduce(_grads(loss(val, ahead), alphas))
        leaves = {name: p.detach().requires_grad_() for name, p in ahead.items()}
        found = reduce(_grads(loss(val, leaves), [*alphas, *leaves.values()]))
        direct, vector = found[: len(alphas)], found[len(alphas) :]
        product = reduce(self._product(loss, alphas, weights, train, rates, vector))
        return [d - p for d, p in zip(direct, product, strict=True)]

    def _product(
        self,
        loss: Loss,
        alphas: Sequence[Tensor],
        weights: Weights,
        train: Batch,
        rates: Sequence[float],
        vector: Sequence[Tensor],
    ) -> list[Tensor]:
        """d/d(alpha) of dL_train/dw, times the vector and the learning rates, by a central difference."""
        norm = torch.stack([v.square().sum() for v in vector]).sum().sqrt()
        step = self.radius / norm.clamp_min(torch.finfo(norm.dtype).tiny)  # no direction, no product
        # groups with rates of their own bend the direction; the common case keeps the authors' arithmetic
        rate = max(rates) or 1.0  # of a group at rate 0 no direction could be told
        scaled = [v if r == rate else v * (r / rate) for v, r in zip(vector, rates, strict=True)]
        sides = []
        for sign in (1, -1):
            moved = {n: (w + sign * step * v).detach() for (n, w), v in zip(weights.items(), scaled, strict=True)}
            sides.append(_grads(loss(train, moved), alphas))
        return [rate * (plus - minus) / (2 * step) for plus, minus in zip(*sides, strict=True)]


def _grads(loss: Tensor, inputs: Sequence[Tensor], create_graph: bool = False) -> list[Tensor]:
    found = torch.autograd.grad(loss, list(inputs), create_graph=create_graph, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]


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
