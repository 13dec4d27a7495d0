"""Multiply-adds of the steps of a supernet search."""

from __future__ import annotations

import torch

from nas.architecture.cell import EdgeWeights
from nas.nn.fused_cell_graph import unfused
from nas.nn.macs import count_operations
from nas.searches.base import SupernetSearch
from nas.searches.gradient import GradientSearch
from nas.utils.generators import random_state_kept

Active = dict[str, list[list[bool]]]


def count_step_macs(search: SupernetSearch) -> float:
    """Return the multiply-adds of a bilevel step for one image of each batch.

    A forward pass counts once, and a backward pass once per factor whose gradient it computes: a weight step has three
    passes, an architecture step two more. Random numbers have no effect, because all samples execute the same number
    of ops; the count takes the mean over ops.
    """
    every = {name: search.masks.lists(name) for name in search.space.cells}
    arch = {name: EdgeWeights(torch.ones(len(rows), len(rows[0])), rows) for name, rows in every.items()}
    with unfused(search.supernet):
        macs = count_operations(search.supernet, search.space.shape, "macs", arch)
    if not isinstance(search, GradientSearch):
        return 3.0 * macs
    executed = _count(sample_active(search)) / max(_count(every), 1)
    step = search.arch_step
    paths = _count_paths(search)
    passes = 3 * paths + 2 / step.every if step.optimizer is not None and step.per_batch else 3 * paths
    return passes * macs * executed


def sample_active(search: GradientSearch) -> Active:
    """Return the ops that a sample of a weight step executes, without effect on later samples."""
    with torch.no_grad(), random_state_kept(search.relaxation, search.device):
        sample = search.relaxation.sample_for_weights(search.masks)
    return {name: weights.active for name, weights in sample.items()}


def _count_paths(search: GradientSearch) -> int:
    """Return the number of architectures of a weight step."""
    with torch.no_grad(), random_state_kept(search.relaxation, search.device):
        return len(search.relaxation.weight_samples(search.masks))


def _count(active: Active) -> int:
    return sum(sum(row) for rows in active.values() for row in rows)
