"""Architecture gradient by implicit differentiation, with a truncated Neumann series (iDARTS)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nas.gradients.base import BilevelStep, grad_or_zeros
from nas.gradients.unrolled import difference_length, difference_product, optimizer_steps
from nas.utils.ranges import POSITIVE, Range, check_ranges


@check_ranges(order=Range(0, 1000, whole=True), radius=POSITIVE)
class Implicit:
    """The stochastic implicit gradient of iDARTS (Zhang et al., ICML 2021).

    With v_0 = dL_val/dw and v_{k+1} = v_k - lr * H v_k, it is dL_val/d(alpha) - lr * d2L_train/(d(alpha) dw) *
    (v_0 + ... + v_K). H is the Hessian of the training loss, and lr the learning rate of the weights. The sum
    approximates the inverse of lr * H. The order K = 0 is the second order of DARTS at the current weights.

    Both batches are those of the step. The supernet and its statistics are not changed. The computation is always in
    full precision. Hessian-vector products are averaged over ranks, so that all ranks use the Hessian of all images.

    Args:
        order: K, the number of Hessian-vector products.
        radius: None computes the mixed derivative by double backward. A number computes it as in the authors' code: a
            central difference with the step radius / |v_0|.
    """

    full_precision = True

    def __init__(self, order: int = 2, radius: float | None = None) -> None:
        self.order = order
        self.radius = radius

    def __call__(self, step: BilevelStep) -> list[Tensor]:
        with torch.compiler.set_stance("force_eager"):  # compiled code has no second derivative
            return self._gradient(step)

    def _gradient(self, step: BilevelStep) -> list[Tensor]:
        params = list(step.weights.values())
        steps = optimizer_steps(step.optimizer, step.weights)
        rates = [steps[name].lr for name in step.weights]
        grads = step.reduce(grad_or_zeros(step.loss(step.val, step.weights), [*step.alphas, *params]))
        direct, start = grads[: len(step.alphas)], grads[len(step.alphas) :]
        train = grad_or_zeros(step.loss(step.train, step.weights), params, create_graph=True)
        term = total = start
        for _ in range(self.order):
            product = step.reduce(_vector_product(train, params, _scaled(term, rates)))
            term = [v - p for v, p in zip(term, product, strict=True)]
            total = [t + v for t, v in zip(total, term, strict=True)]
        if self.radius is None:
            mixed = _vector_product(train, step.alphas, _scaled(total, rates))
        else:
            mixed = difference_product(step, rates, total, difference_length(self.radius, start))
        return [d - m for d, m in zip(direct, step.reduce(mixed), strict=True)]


def _scaled(vector: Sequence[Tensor], rates: Sequence[float]) -> list[Tensor]:
    return [rate * v for rate, v in zip(rates, vector, strict=True)]


def _vector_product(grads: Sequence[Tensor], inputs: Sequence[Tensor], vector: Sequence[Tensor]) -> list[Tensor]:
    """Return the derivative in ``inputs`` of the scalar product of ``grads`` and ``vector``; the graph is kept."""
    terms = [(g * v).sum() for g, v in zip(grads, vector, strict=True) if g.requires_grad]
    if not terms:  # the loss is linear in the weights
        return [torch.zeros_like(x) for x in inputs]
    grads_of_inputs = torch.autograd.grad(torch.stack(terms).sum(), list(inputs), retain_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, grads_of_inputs, strict=True)]
