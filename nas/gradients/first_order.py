"""First-order architecture gradient (DARTS)."""

from __future__ import annotations

from collections.abc import Callable, Set

from torch import Tensor

from nas.gradients.base import BilevelStep, frozen


class FirstOrder:
    """The gradient at the current weights: DARTS' first-order approximation (Liu et al., ICLR 2019).

    A callback may set ``observed`` to names of weights and ``observer`` to a function of their gradients by name. The
    gradients are those of the architecture loss, averaged over ranks.
    """

    observed: Set[str] = frozenset()
    observer: Callable[[dict[str, Tensor]], None] | None = None

    def __call__(self, step: BilevelStep) -> list[Tensor]:
        weights = {n: w for n, w in step.weights.items() if n in self.observed and w.requires_grad}
        with frozen(w for name, w in step.weights.items() if name not in weights):
            grads = step.grad(step.loss(step.val), [*step.alphas, *weights.values()])
        grads = step.reduce(grads)
        count = len(step.alphas)
        if self.observer is not None:
            self.observer(dict(zip(weights, grads[count:], strict=True)))
        return grads[:count]
