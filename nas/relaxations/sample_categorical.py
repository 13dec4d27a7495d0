"""Categorical sampling without a device synchronization."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_categorical(probabilities: Tensor, generator: torch.Generator, count: int = 1) -> Tensor:
    """Sample ``count`` different columns of each row, without replacement.

    The largest p / q, with q from Exp(1), is at column i with probability p_i. The ``count`` largest are a sample
    without replacement (Efraimidis and Spirakis, 2006). ``torch.multinomial`` returns the same numbers, but checks
    its input first, which synchronizes a CUDA device. This function checks nothing.

    Args:
        probabilities: [..., n], with at least ``count`` positive entries per row and no NaN. Rows need not sum to 1.
        generator: generator on the device of ``probabilities``.
        count: number of columns per row.

    Returns:
        The columns, int64 [..., count].
    """
    scores = probabilities / torch.empty_like(probabilities).exponential_(generator=generator)
    return scores.argmax(dim=-1, keepdim=True) if count == 1 else scores.topk(count, dim=-1).indices
