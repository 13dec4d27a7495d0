"""Sharpness of the validation loss in alpha: exact Hessian, largest eigenvalue, RobustDARTS' stopping rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


def hessian(loss: Callable[[], Tensor], parameters: Sequence[Tensor], entries: Tensor) -> Tensor:
    """Compute the exact Hessian of ``loss`` in all ``parameters`` jointly, one row at a time by double backward.

    Args:
        loss: evaluates the loss, a scalar.
        parameters: tensors to differentiate with respect to, flattened and concatenated.
        entries: indices into the concatenated parameters, int64 [n].

    Returns:
        The rows and columns of ``entries`` [n, n].
    """
    with torch.compiler.set_stance("force_eager"):  # compiled code has no second derivative
        value = loss()
    grads = torch.autograd.grad(value, list(parameters), create_graph=True, allow_unused=True)
    gradient = torch.cat(
        [torch.zeros_like(p).flatten() if g is None else g.flatten() for p, g in zip(parameters, grads, strict=True)]
    )
    if not gradient.requires_grad:  # the loss is linear
        return gradient.new_zeros(len(entries), len(entries))
    rows = []
    for entry in gradient[entries].unbind():
        second = torch.autograd.grad(entry, list(parameters), retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, second, strict=True)]
        rows.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(rows)[:, entries].detach()


def largest_eigenvalue(matrix: Tensor, decay: float = 0.0) -> Tensor:
    """Return the largest eigenvalue of a symmetrized Hessian [n, n] plus ``decay`` * I, in double precision."""
    double = matrix.double()
    return torch.linalg.eigvalsh((double + double.T) / 2)[-1] + decay


class SharpnessRule(NamedTuple):
    """RobustDARTS' stopping rule on the eigenvalues of successive measurements (Zela et al., ICLR 2020).

    Each eigenvalue is averaged with its neighbors. The search should have stopped ``delta`` measurements ago if the
    average has grown by more than ``factor`` since then.
    """

    window: int = 5
    """Number of measurements per average, odd; shortened at the start."""
    factor: float = 1.3
    delta: int = 4
    first: int = 10
    """The first epoch at which a search may be stopped."""

    def average(self, values: Sequence[float], center: int) -> float:
        """Return the average around measurement ``center``."""
        half = self.window // 2
        part = values[max(0, center - half) : center + half + 1]
        return sum(part) / len(part)

    def stop_index(self, epochs: Sequence[int], values: Sequence[float]) -> int | None:
        """Return the index of the measurement to stop at, or None to continue.

        Args:
            epochs: the epoch of each measurement.
            values: the eigenvalue of each measurement.
        """
        center = len(values) - 1 - self.window // 2
        before = center - self.delta
        if before < 0 or epochs[before] < self.first:
            return None
        grown = self.average(values, center) / self.average(values, before) > self.factor
        return before if grown else None
