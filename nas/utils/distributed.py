"""Reductions over the ranks of a distributed run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from nas.utils.errors import NasError

T = TypeVar("T")


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


def on_first_rank(function: Callable[[], T]) -> T:
    """Call a function on the first rank, and return its result on all ranks, which must all call this.

    Without a process group, call the function.

    Raises:
        NasError: on all ranks, if the function raises it.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return function()
    results: list[Any] = [None, None]
    if dist.get_rank() == 0:
        try:
            results[0] = function()
        except NasError as error:  # the other ranks would wait for the result
            results[1] = str(error)
    dist.broadcast_object_list(results, src=0)
    if results[1] is not None:
        raise NasError(results[1])
    result: T = results[0]
    return result


def gather_objects(value: Any) -> list[Any]:
    """Return the values of all ranks in their order; ``[value]`` without a process group. All ranks must call it."""
    if not (dist.is_available() and dist.is_initialized()):
        return [value]
    objects: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(objects, value)
    return objects
