"""One pass for the steps on weights and architecture (SNAS, DSNAS)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from nas.architecture.cell import Architecture
from nas.gradients.base import Batch
from nas.objectives.budget_penalty import BudgetPenalty
from nas.objectives.resource_penalty import ResourcePenalty
from nas.relaxations.base import Relaxation
from nas.searches.arch_step import ArchStep
from nas.searches.base import SupernetSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.base import Output
from nas.utils.distributed import mean_over_ranks


@dataclass(frozen=True)
class SimultaneousStep:
    """A step on the weights and one on alpha, along gradients of one forward pass.

    Args:
        weight_step: options of the step on the weights.
        arch_step: options of the step on alpha.
        resource: penalty on the cost of ops, None for none.
    """

    weight_step: WeightStep
    arch_step: ArchStep
    resource: ResourcePenalty | BudgetPenalty | None

    def take(
        self, search: SupernetSearch, relaxation: Relaxation, batch: Batch, optimizers: Sequence[Any], update: bool
    ) -> None:
        """Train on one batch.

        Args:
            search: the search that owns the supernet.
            relaxation: the relaxation to sample from and to train.
            batch: training images [B, C, H, W] and labels [B].
            optimizers: the optimizers of the weights and of the architecture, in Lightning's wrappers.
            update: whether alpha takes its step.
        """
        x, target = batch
        optimizers[0].zero_grad(set_to_none=not self.weight_step.decay_unsampled_weights)
        relaxation.zero_grad()
        arch = relaxation.sample(search.masks) if update else relaxation.sample_for_weights(search.masks)
        if not update:
            arch = {name: weights.detach() for name, weights in arch.items()}
        outputs = search.step_outputs(x, arch)
        loss = search.task.loss(outputs.logits, target)
        total = self._total(search, relaxation, arch, outputs, loss, update)
        for phase in ("train", "arch") if update else ("train",):
            search.observe(phase, total, batch, arch)
        search.manual_backward(total)
        if self.weight_step.clip_norm is not None:
            clip_grad_norm_(search.supernet.parameters(), self.weight_step.clip_norm)
        optimizers[0].step()
        search.log_step("train", loss, outputs.logits, target)
        if update:
            alphas = list(relaxation.parameters())
            # DDP has averaged the gradients already if its hooks ran; a mean of equal values changes nothing
            grads = mean_over_ranks([torch.zeros_like(a) if a.grad is None else a.grad for a in alphas])
            self.arch_step.apply(search, relaxation, grads, optimizers[1])
            search.log_step("arch", total, outputs.logits, target)

    def _total(
        self,
        search: SupernetSearch,
        relaxation: Relaxation,
        arch: Architecture,
        outputs: Output,
        loss: Tensor,
        update: bool,
    ) -> Tensor:
        """Return the loss with all penalties; those on the architecture only if alpha takes its step."""
        penalty = search.task.penalty(outputs)
        total = loss if penalty is None else loss + penalty
        if update:
            total = total + relaxation.penalty()
            if self.arch_step.regularizer is not None:
                total = total + self.arch_step.regularizer(relaxation.alpha, search.masks)
            if self.resource is not None:
                total = total + self.resource(arch, relaxation, search.masks)
        return total
