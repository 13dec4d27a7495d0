"""Architecture loss of a gradient search: the loss or the reward of the task, costs and penalties."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.gradients.base import Batch
from nas.objectives.budget_penalty import BudgetPenalty
from nas.relaxations.base import Relaxation
from nas.searches.arch_step import ArchForward, ArchStep
from nas.searches.base import SupernetSearch
from nas.searches.within_limits import percent_over_limits
from nas.utils.distributed import mean_over_ranks


def with_costs(
    search: SupernetSearch, step: ArchStep, relaxation: Relaxation, loss: Tensor, arch: Architecture
) -> Tensor:
    """Return the architecture loss of a sampled architecture for a loss of the task.

    Args:
        search: the search that owns the supernet.
        step: options of the architecture step.
        relaxation: the relaxation that ``arch`` was sampled from.
        loss: loss of the task, a scalar.
        arch: the sampled architecture.
    """
    if search.cost_target is not None:
        loss = search.cost_target.loss(loss, relaxation, search.masks)
    return loss + _penalty(search, step, relaxation, arch)


def reward_forward(
    search: SupernetSearch,
    step: ArchStep,
    relaxation: Relaxation,
    batch: Batch,
    network: Callable[[Tensor, Architecture], Tensor],
) -> ArchForward:
    """Compute the REINFORCE objective of as many architectures as the reward has samples.

    The logits and the architecture of the result are those of the last sample, the loss is the mean.

    Args:
        search: the search that owns the supernet.
        step: options of the architecture step, with a reward.
        relaxation: the relaxation to sample from.
        batch: validation images [B, C, H, W] and labels [B].
        network: computes the logits of images under an architecture.
    """
    assert step.reward is not None
    x, target = batch
    archs, losses, scores = [], [], []
    for _ in range(step.reward.samples):
        archs.append(arch := relaxation.sample(search.masks))
        logits = network(x, arch).detach()
        losses.append(search.task.loss(logits, target, training=step.smooth_labels))
        score = search.task.score(logits, target)
        if search.cost_target is not None:
            score = search.cost_target.reward(score, arch)
        scores.append(score - percent_over_limits(search, arch))
    mean = torch.stack(losses).mean()
    loss = step.reward(relaxation, search.masks, archs, mean, torch.stack(scores), mean_over_ranks)
    return ArchForward(loss + _penalty(search, step, relaxation, archs[-1]), logits, archs[-1])


def _penalty(search: SupernetSearch, step: ArchStep, relaxation: Relaxation, arch: Architecture) -> Tensor | float:
    """Return the sum of all penalties, without that of limits if a reward contains it."""
    penalty = relaxation.penalty()
    if step.regularizer is not None:
        penalty = penalty + step.regularizer(relaxation.alpha, search.masks)
    resource: nn.Module | None = search.resource
    if step.reward is not None and isinstance(resource, BudgetPenalty):
        resource = resource.resource
    return penalty if resource is None else penalty + resource(arch, relaxation, search.masks)
