"""Architecture step of a gradient search: one optimizer step on the relaxation's parameters."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from nas.architecture.cell import Architecture
from nas.architecture.masks import Masks
from nas.gradients.base import ArchGradient, Batch, BilevelStep, Weights, check_gradients, grad_or_zeros
from nas.gradients.first_order import FirstOrder
from nas.objectives.budget_penalty import BudgetPenalty
from nas.objectives.cost_target import CostTarget
from nas.objectives.reinforce import ReinforceObjective
from nas.objectives.resource_penalty import ResourceFactory
from nas.relaxations.base import Relaxation
from nas.searches.base import SupernetSearch
from nas.utils.distributed import mean_over_ranks
from nas.utils.ranges import COUNT, COUNT_OR_ZERO, DROP_PROBABILITY, POSITIVE, check_ranges

log = logging.getLogger(__name__)


class ArchForward(NamedTuple):
    """A forward pass under a sampled architecture."""

    loss: Tensor
    """The architecture loss, a scalar: the task's loss or reward, plus all penalties."""
    logits: Tensor
    arch: Architecture


class ArchRegularizer(Protocol):
    """A penalty on the architecture parameters that does not depend on the relaxation, such as ``BetaDecay``."""

    def __call__(self, alpha: nn.ParameterDict, masks: Masks) -> Tensor:
        """Return the penalty, a scalar, for the parameters [edges, ops] of each cell type."""
        ...


class ArchForwardFunction(Protocol):
    """Evaluates the architecture loss of a batch, with ``weights`` in place of the supernet's parameters if given."""

    def __call__(self, batch: Batch, weights: Weights | None = None) -> ArchForward: ...


@check_ranges(clip_norm=POSITIVE, warmup_epochs=COUNT_OR_ZERO, warmup_share=DROP_PROBABILITY, every=COUNT)
@dataclass
class ArchStep:
    """Options of the architecture step, and the step itself.

    Args:
        optimizer: builds the optimizer from the relaxation's parameters; None: no architecture steps.
        gradient: computes the gradient of the architecture loss.
        regularizer: penalty on the architecture parameters, which is added to the loss.
        resource: builds a penalty on the cost of ops, which is added to the loss.
        cost_target: trade-off between the task and the cost of the final network; one without a target has no effect.
        reward: replaces the gradient of the loss for relaxations whose samples are not differentiable.
        clip_norm: maximum norm of the gradient; None: no clipping.
        warmup_epochs: number of epochs before the first architecture step. In a search in stages, the number of such
            epochs per stage. A reward updates its baseline during the warm-up, too.
        warmup_share: share of the epochs before the first architecture step, in addition to ``warmup_epochs``.
        per_batch: take a step after each batch. False leaves the steps to a callback (ENAS).
        single_level: use the batch of the weight step instead of a batch of the validation part.
        every: number of weight steps per architecture step (iDARTS). The count restarts in each epoch.
        smooth_labels: apply the label smoothing of the search to the architecture loss, too.
    """

    optimizer: Callable[[Any], Optimizer] | None = None
    gradient: ArchGradient = field(default_factory=FirstOrder)
    regularizer: ArchRegularizer | None = None
    resource: ResourceFactory | None = None
    cost_target: CostTarget | None = None
    reward: ReinforceObjective | None = None
    clip_norm: float | None = None
    warmup_epochs: int = 0
    warmup_share: float = 0.0
    per_batch: bool = True
    single_level: bool = False
    every: int = 1
    smooth_labels: bool = True

    @property
    def active_cost_target(self) -> CostTarget | None:
        """The cost target, None without a target."""
        return self.cost_target if self.cost_target is not None and self.cost_target.target is not None else None

    def is_due(self, batches: int) -> bool:
        """Return whether a step is taken after ``batches`` batches of an epoch."""
        return self.per_batch and batches % self.every == 0

    def warn_if_never_due(self, batches: float, weights_first: bool) -> None:
        """Warn if an epoch of ``batches`` batches is too short for a step. A step before the weights is always due."""
        if self.optimizer is not None and self.per_batch and weights_first and batches < self.every:
            text = "method.arch_step.every=%d: alpha is not trained in epochs of %g batches. Use at most %g."
            log.warning(text, self.every, batches, batches)

    def warmup_length(self, epochs: int | None) -> int:
        """Return the number of epochs without architecture steps in a search of ``epochs``."""
        return self.warmup_epochs + int(self.warmup_share * max(epochs or 0, 0))

    def take(
        self,
        search: SupernetSearch,
        relaxation: Relaxation,
        forward: ArchForwardFunction,
        weights: Weights,
        batches: Mapping[str, Batch],
        optimizers: Sequence[Any],
        update: bool = True,
    ) -> None:
        """Compute the gradient of the relaxation's parameters, and update them.

        Args:
            search: the search that owns the supernet; the step is observed and logged as "arch".
            relaxation: the relaxation to train.
            forward: evaluates the architecture loss.
            weights: the supernet's parameters by name.
            batches: the batches "train" (of the weights) and "val" (of the architecture).
            optimizers: the optimizers of the weights and of the architecture, in Lightning's wrappers.
            update: False in the warm-up: compute the gradient, but do not take the step.
        """
        alphas = list(relaxation.parameters())
        passes: dict[str, tuple[Tensor, Tensor, Tensor]] = {}

        def loss(batch: Batch, weights: Weights | None = None) -> Tensor:
            result = forward(batch, weights)
            search.observe("arch", result.loss, batch, result.arch)
            part = "val" if batch is batches["val"] else "other"
            passes[part] = (result.loss.detach(), result.logits.detach(), batch[1])
            return result.loss

        with self._precision(search.device.type):
            differentiate = grad_or_zeros if search.executor is None else search.executor.grad
            parts = (batches["train"], batches["val"], optimizers[0], mean_over_ranks, differentiate)
            step = BilevelStep(loss, alphas, weights, *parts)
            grads = self.gradient(step)
        check_gradients(self.gradient, grads, alphas)
        if update:
            self.apply(search, relaxation, grads, optimizers[1])
        if passes:
            search.log_step("arch", *(passes.get("val") or passes["other"]))

    def apply(self, search: SupernetSearch, relaxation: Relaxation, grads: Sequence[Tensor], optimizer: Any) -> None:
        """Update the parameters of the relaxation by given gradients; ``optimizer`` is in Lightning's wrapper."""
        alphas = list(relaxation.parameters())
        for alpha, grad in zip(alphas, grads, strict=True):
            alpha.grad = grad
        if self.clip_norm is not None:
            clip_grad_norm_(alphas, self.clip_norm)
        # bypass Lightning's wrapper, so that a bilevel step counts once in trainer.global_step
        optimizer.optimizer.step()
        relaxation.finish_step(search.masks)
        if isinstance(search.resource, BudgetPenalty):
            search.resource.finish_step(relaxation, search.masks)

    def _precision(self, device_type: str) -> Any:
        """Disable autocast for the unrolled gradient: differences of gradients vanish in bfloat16."""
        if getattr(self.gradient, "full_precision", False):
            return torch.autocast(device_type, enabled=False)
        return nullcontext()
