"""Weight step of a gradient search: one optimizer step on the supernet's weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nas.architecture.cell import Architecture
from nas.gradients.base import Batch
from nas.nn.param_groups import parameter_groups
from nas.objectives.cell_alignment import CellAlignment, SplitArchitecture
from nas.objectives.perturbation import Perturbation
from nas.relaxations.base import Relaxation
from nas.searches.base import SupernetSearch
from nas.searches.passes import join_passes, split_batch
from nas.utils.distributed import mean_over_ranks
from nas.utils.foreach_sgd import use_foreach
from nas.utils.ranges import POSITIVE, check_ranges

ClipParams = Literal["weights", "all", "all_accumulated"]


@check_ranges(clip_norm=POSITIVE)
@dataclass
class WeightStep:
    """Options of the weight step, and the step itself.

    Args:
        optimizer: builds the optimizer from the supernet's parameters.
        scheduler: builds the learning rate scheduler from the optimizer. It steps once per epoch, or after each step
            with the option ``interval`` of ``LRDecay``.
        clip_norm: maximum norm of the gradient; None: no clipping.
        clip_params: parameters that count towards the norm. "weights": the supernet alone. "all": also the gradient of
            alpha in the weight loss. "all_accumulated": also the gradient that the last architecture step left in
            alpha, as in AutoDL-Projects, which clears only its own gradients before each step.
        decay_unsampled_weights: keep applying momentum and weight decay to used weights that a sampled path skips.
            This was the effect of zeroed gradients before torch 2.0, which sets them to None.
        perturbation: changes the architecture on which the weights are trained (SDARTS).
        alignment: changes the gradient so that the cells agree on the architecture (Lambda-DARTS).
        decay_norm_and_bias: False: no weight decay for norms and biases.
    """

    optimizer: Callable[[Any], Optimizer]
    scheduler: Callable[[Optimizer], LRScheduler] | None = None
    clip_norm: float | None = 5.0
    clip_params: ClipParams = "weights"
    decay_unsampled_weights: bool = False
    perturbation: Perturbation | None = None
    alignment: CellAlignment | None = None
    decay_norm_and_bias: bool = True

    def build_optimizer(self, supernet: nn.Module) -> Optimizer:
        """Build the optimizer of the supernet's weights."""
        return use_foreach(self.optimizer(parameter_groups(supernet, self.decay_norm_and_bias)))

    def take(self, search: SupernetSearch, relaxation: Relaxation, batch: Batch, optimizer: Any) -> None:
        """Train the supernet on one batch, in passes of ``search.images_per_pass`` images under one architecture.

        Relaxations with several samples per weight step have such passes for each of them, with summed gradients.

        Args:
            search: the search that owns the supernet; the step is observed and logged as "train".
            relaxation: the relaxation to sample the architecture from.
            batch: training images [B, C, H, W] and labels [B], or a chunk of text and its target.
            optimizer: the optimizer, in Lightning's wrapper.
        """
        optimizer.zero_grad(set_to_none=not self.decay_unsampled_weights)
        if self.clip_params == "all":
            relaxation.zero_grad()
        results = [self._backward(search, arch, batch) for arch in self._architectures(search, relaxation, batch)]
        if not self._update_jointly(search, optimizer) and self.clip_norm is not None:
            clipped = search.supernet.parameters() if self.clip_params == "weights" else search.parameters()
            clip_grad_norm_(clipped, self.clip_norm)
        optimizer.step()  # after a common step, without gradients: Lightning counts it
        for loss, logits in results:
            search.log_step("train", loss, logits, batch[1])

    def _update_jointly(self, search: SupernetSearch, optimizer: Any) -> bool:
        """Take the step together with other searches; return whether that is possible."""
        if search.executor is None:
            return False
        others = [] if self.clip_params == "weights" else [p for p in search.parameters() if p.grad is not None]
        return search.executor.update(optimizer.optimizer, self.clip_norm, others)

    def _backward(self, search: SupernetSearch, arch: Architecture, batch: Batch) -> tuple[Tensor, Tensor]:
        """Add the gradient under an architecture to that of the weights, and return loss and logits of the batch."""
        split = None if self.alignment is None else self.alignment.split(search.supernet, arch)
        losses, logits = [], []
        for part, share in split_batch(batch, search.images_per_pass):
            outputs = search.step_outputs(part[0], arch if split is None else split.arch)
            loss = search.task.loss(outputs.logits, part[1])
            penalty = search.task.penalty(outputs)
            total = loss if penalty is None else loss + penalty
            search.observe("train", total, part, arch)
            search.manual_backward(total if share == 1 else share * total)
            losses.append(loss.detach() if share == 1 else share * loss.detach())
            logits.append(outputs.logits.detach())
        if split is not None:
            self._align(search, split, batch)
        return join_passes(losses, logits)

    def _architectures(self, search: SupernetSearch, relaxation: Relaxation, batch: Batch) -> list[Architecture]:
        samples = relaxation.weight_samples(search.masks)
        return [self._architecture(search, arch, batch) for arch in samples]

    def _architecture(self, search: SupernetSearch, arch: Architecture, batch: Batch) -> Architecture:
        """Return a sampled architecture as the weight step uses it: detached and perturbed."""
        x, target = batch
        if self.clip_params == "weights":  # otherwise the gradient of alpha counts towards the norm
            arch = {name: weights.detach() for name, weights in arch.items()}
        if self.perturbation is None:
            return arch
        search.supernet.eval()
        arch = self.perturbation(
            arch, lambda other: search.task.loss(search.supernet(x, other), target), mean_over_ranks
        )
        search.supernet.train()
        return arch

    def _align(self, search: SupernetSearch, split: SplitArchitecture, batch: Batch) -> None:
        """Add the gradient of the alignment to that of the weights, in full precision."""
        assert self.alignment is not None
        x, target = batch
        weights = [p for p in search.supernet.parameters() if p.grad is not None]
        with torch.autocast(search.device.type, enabled=False):
            grads = self.alignment.gradient(
                split, lambda other: search.task.loss(search.supernet(x, other), target), weights, mean_over_ranks
            )
        for weight, grad in zip(weights, grads, strict=True):
            assert weight.grad is not None
            weight.grad += grad


def restore_gradients(optimizer: Optimizer, weights: Iterable[nn.Parameter]) -> None:
    """Set the gradients of all used weights without one to zero, so that they keep decaying after a resume."""
    for weight in weights:
        if weight.grad is None and weight.requires_grad and weight in optimizer.state:
            weight.grad = torch.zeros_like(weight)
