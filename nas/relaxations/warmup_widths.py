"""Widths in the warm-up of a search over the size of layers, before alpha says anything about them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nas.architecture.cell import EdgeWeights

Table = Sequence[Sequence[bool]]


def warm_widths(allowed: Table, full: float, like: Tensor, generator: torch.Generator) -> EdgeWeights:
    """One width for each block, as one-hot weights [blocks, widths] of the dtype and on the device of ``like``.

    ``allowed`` [blocks, widths] are those left, the smallest first. Each block has its widest one with probability
    ``full``, independently, and else any of them with equal probability, the widest included (AutoDL-Projects,
    exps/NATS-algos/search-size.py). ``generator`` is one of the CPU.
    """
    coins, places = torch.rand(2, len(allowed), generator=generator).tolist()
    active = []
    for row, coin, place in zip(allowed, coins, places, strict=True):
        columns = [column for column, on in enumerate(row) if on]
        chosen = columns[-1 if coin < full else int(place * len(columns))] if columns else None
        active.append([column == chosen for column in range(len(row))])
    return EdgeWeights(torch.tensor(active).to(like), active)
