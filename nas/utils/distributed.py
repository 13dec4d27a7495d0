"""Reductions over the ranks of a distributed run."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def mean_over_ranks(tensors: list[Tensor]) -> list[Tensor]:
    """Average tensors over all ranks in a single message. Without a process group, return them unchanged.

    DDP does not average gradients that are computed by ``torch.autograd.grad``, because its hooks do not run.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return tensors
    flat = torch.cat([t.reshape(-1) for t in tensors])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    parts = flat.split([t.numel() for t in tensors])
    return [part.view_as(t) for part, t in zip(parts, tensors, strict=True)]


def gather_objects(value: Any) -> list[Any]:
    """Return the values of all ranks in their order; ``[value]`` without a process group. All ranks must call it."""
    if not (dist.is_available() and dist.is_initialized()):
        return [value]
    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, value)
    return found
