"""Architecture loss of a gradient search: the loss or the reward of the task, costs and penalties."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.gradients.base import Batch
from nas.objectives.budget_penalty import BudgetPenalty
from nas.searches.within_limits import percent_over_limits
from nas.utils.distributed import mean_over_ranks

if TYPE_CHECKING:
    from nas.searches.gradient import GradientSearch


class ArchForward(NamedTuple):
    """A forward pass under a sampled architecture."""

    loss: Tensor
    """The architecture loss, a scalar: the task's loss or reward, plus all penalties."""
    logits: Tensor
    arch: Architecture


def with_costs(search: GradientSearch, loss: Tensor, arch: Architecture) -> Tensor:
    """Return the architecture loss of a sampled architecture for a loss of the task."""
    target = search.cost_target
    return (loss if target is None else target.loss(loss, search.relaxation, search.masks)) + _penalty(search, arch)


def reward_forward(
    search: GradientSearch, batch: Batch, network: Callable[[Tensor, Architecture], Tensor]
) -> ArchForward:
    """Compute the REINFORCE objective of as many architectures as the reward has samples.

    The logits and the architecture of the result are those of the last sample, the loss is the mean.
    """
    assert search.reward is not None
    x, target = batch
    archs, losses, scores = [], [], []
    for _ in range(search.reward.samples):
        archs.append(arch := search.relaxation.sample(search.masks))
        logits = network(x, arch).detach()
        losses.append(search.task.loss(logits, target, training=search.arch_step.smooth_labels))
        score = search.task.score(logits, target)
        if search.cost_target is not None:
            score = search.cost_target.reward(score, arch)
        scores.append(score - percent_over_limits(search, arch))
    loss = torch.stack(losses).mean()
    loss = search.reward(search.relaxation, search.masks, archs, loss, torch.stack(scores), mean_over_ranks)
    return ArchForward(loss + _penalty(search, archs[-1]), logits, archs[-1])


def _penalty(search: GradientSearch, arch: Architecture) -> Tensor | float:
    """Return all penalties. A reward contains the penalty of limits already."""
    penalty = search.relaxation.penalty()
    if search.arch_step.regularizer is not None:
        penalty = penalty + search.arch_step.regularizer(search.relaxation.alpha, search.masks)
    resource: nn.Module | None = search.resource
    if search.reward is not None and isinstance(resource, BudgetPenalty):
        resource = resource.resource
    return penalty if resource is None else penalty + resource(arch, search.relaxation, search.masks)
