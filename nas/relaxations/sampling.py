"""Draws from rows of probabilities that the device is not waited for."""

from __future__ import annotations

import torch
from torch import Tensor


def drawn(probabilities: Tensor, generator: torch.Generator, count: int = 1) -> Tensor:
    """``count`` different columns of each row, int64 [..., count], by ``probabilities`` [..., n] without replacement.

    Rows need not sum to 1. The largest of p / q with q from Exp(1) is column i with probability p_i, and the ``count``
    largest are draws without replacement (Efraimidis and Spirakis, 2006). ``torch.multinomial`` draws the same numbers
    by the same rule, but looks at its input first, which on CUDA waits for the device. Nothing is looked at here: rows
    must hold no NaN, and ``count`` positive numbers.
    """
    scores = probabilities / torch.empty_like(probabilities).exponential_(generator=generator)
    return scores.argmax(dim=-1, keepdim=True) if count == 1 else scores.topk(count, dim=-1).indices
