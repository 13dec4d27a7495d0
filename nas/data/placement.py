"""Process and device for which a data module loads its batches."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch


class Placement(NamedTuple):
    """Share of the data that this process loads, and the device that stores it."""

    rank: int
    world: int
    device: torch.device


def placement_of(trainer: Any, on_device: bool) -> Placement:
    """Return the placement for a trainer, which is None outside of a run.

    Args:
        trainer: trainer of the data module.
        on_device: store the data on the training device rather than on the CPU.
    """
    if trainer is None:
        return Placement(0, 1, torch.device("cpu"))
    device = trainer.strategy.root_device if on_device else torch.device("cpu")
    return Placement(trainer.global_rank, trainer.world_size, device)
