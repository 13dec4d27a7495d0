"""Pruning that leaves a genotype within limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from nas.proxies.pruned import Alive
from nas.searches.pruning.ranking import Candidate, prune_ops
from nas.spaces.limits import Limits
from nas.utils.errors import NasError

Keeps = Callable[[Sequence[Candidate]], bool]
"""Returns whether a genotype within the limits remains after some candidates are pruned."""


def keeps_within(limits: Limits | None, alive: Alive) -> Keeps:
    """Return a function that tests candidates to prune from the remaining ops, always true without limits.

    Raises:
        NasError: if no genotype of the remaining ops is within the limits.
    """
    if limits is None:
        return lambda pruned: True
    cells = limits.space.cells
    scores = {name: torch.zeros(len(cell.edges), len(cell.ops)) for name, cell in cells.items()}

    def keeps(pruned: Sequence[Candidate]) -> bool:
        remaining = prune_ops(alive, pruned)
        return limits.best(scores, {name: cell.masked(remaining[name]) for name, cell in cells.items()}) is not None

    if not keeps([]):
        bounds = " ".join(map(str, limits.limits))
        raise NasError(f"{bounds}: te_nas never selects the op none, and all other genotypes exceed it. Increase it.")
    return keeps
