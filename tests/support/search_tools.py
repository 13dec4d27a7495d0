"""Parts of gradient searches for tests."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch.optim import SGD

from nas.searches.arch_step import ArchStep
from nas.searches.weight_step import WeightStep


def weight_step(lr: float = 0.1, **options: Any) -> WeightStep:
    """Build a weight step with SGD."""
    return WeightStep(partial(SGD, lr=lr), **options)


def arch_step(lr: float = 0.1, **options: Any) -> ArchStep:
    """Build an architecture step with SGD."""
    return ArchStep(**{"optimizer": partial(SGD, lr=lr), **options})
