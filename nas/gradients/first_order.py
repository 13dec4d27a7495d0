"""The architecture gradient at the present weights."""

from __future__ import annotations

from torch import Tensor

from nas.gradients.base import BilevelStep, slopes


class FirstOrder:
    """The gradient at the present weights: DARTS' first-order approximation (Liu et al., 2019)."""

    def __call__(self, step: BilevelStep) -> list[Tensor]:
        return step.reduce(slopes(step.loss(step.val), step.alphas))
