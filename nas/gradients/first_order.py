"""First-order architecture gradient (DARTS)."""

from __future__ import annotations

from torch import Tensor

from nas.gradients.base import BilevelStep, frozen


class FirstOrder:
    """The gradient at the current weights: DARTS' first-order approximation (Liu et al., ICLR 2019)."""

    def __call__(self, step: BilevelStep) -> list[Tensor]:
        with frozen(step.weights.values()):
            grads = step.grad(step.loss(step.val), step.alphas)
        return step.reduce(grads)
