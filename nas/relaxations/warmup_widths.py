"""Random layer widths for the warm-up of a search over widths, independent of alpha."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nas.architecture.cell import EdgeWeights
from nas.utils.device_tensor import device_tensor

Table = Sequence[Sequence[bool]]


def sample_warmup_widths(allowed: Table, full_prob: float, like: Tensor, generator: torch.Generator) -> EdgeWeights:
    """Sample one width per block, as one-hot weights.

    Each block independently has its largest width with probability ``full_prob``, and otherwise any of its widths
    with equal probability, the largest included (AutoDL-Projects, exps/NATS-algos/search-size.py).

    Args:
        allowed: the widths that are not masked [blocks, widths], smallest first.
        full_prob: probability of the largest width.
        like: tensor that gives dtype and device of the weights.
        generator: generator on the CPU.

    Returns:
        The weights [blocks, widths].
    """
    coins, positions = torch.rand(2, len(allowed), generator=generator).tolist()
    active = []
    for row, coin, position in zip(allowed, coins, positions, strict=True):
        columns = [column for column, on in enumerate(row) if on]
        chosen = columns[-1 if coin < full_prob else int(position * len(columns))] if columns else None
        active.append([column == chosen for column in range(len(row))])
    return EdgeWeights(device_tensor(active, like.device, like.dtype), active)
