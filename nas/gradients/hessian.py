"""How sharp the validation loss is in the architecture parameters, and when that says to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


def hessian(loss: Callable[[], Tensor], parameters: Sequence[Tensor], entries: Tensor) -> Tensor:
    """The exact Hessian [n, n] of ``loss`` in all ``parameters`` jointly, by double backward, a row at a time.

    ``entries`` (int64 [n]) picks from the parameters, flattened and joined, those that count.
    """
    grads = torch.autograd.grad(loss(), list(parameters), create_graph=True, allow_unused=True)
    slope = torch.cat(
        [torch.zeros_like(p).flatten() if g is None else g.flatten() for p, g in zip(parameters, grads, strict=True)]
    )
    if not slope.requires_grad:  # a loss that is linear
        return slope.new_zeros(len(entries), len(entries))
    rows = []
    for value in slope[entries].unbind():
        found = torch.autograd.grad(value, list(parameters), retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
        rows.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(rows)[:, entries].detach()


def largest_eigenvalue(matrix: Tensor, decay: float = 0.0) -> Tensor:
    """The largest eigenvalue of a Hessian with ``decay`` on its diagonal, made symmetric first, in double precision."""
    double = matrix.double()
    return torch.linalg.eigvalsh((double + double.T) / 2)[-1] + decay


class Sharpening(NamedTuple):
    """RobustDARTS' rule on the eigenvalues of some epochs (Zela et al., ICLR 2020).

    Each eigenvalue is averaged with its neighbors in a centered ``window``, shortened at the start. Once an average
    is more than ``factor`` times that of ``delta`` entries before, and that entry's epoch is ``first`` or later, the
    search has gone too far since then.
    """

    window: int = 5
    factor: float = 1.3
    delta: int = 4
    first: int = 10

    def average(self, values: Sequence[float], center: int) -> float:
        """The local average at entry ``center``."""
        half = self.window // 2
        part = values[max(0, center - half) : center + half + 1]
        return sum(part) / len(part)

    def stop_entry(self, epochs: Sequence[int], values: Sequence[float]) -> int | None:
        """The entry whose epoch the search should have stopped at, None while it may go on."""
        center = len(values) - 1 - self.window // 2
        before = center - self.delta
        if before < 0 or epochs[before] < self.first:
            return None
        grown = self.average(values, center) / self.average(values, before) > self.factor
        return before if grown else None
