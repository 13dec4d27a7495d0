"""Search by gradient descent on architecture parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, Protocol, runtime_checkable

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer

from nas.architecture.cell import Architecture, Cell, Genotype
from nas.architecture.discretization import discretize
from nas.gradients.base import Batch, Weights
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.objectives.budget_penalty import BudgetPenalty
from nas.objectives.task_of import task_of
from nas.relaxations.base import Discretization, Relaxation
from nas.relaxations.edge_normalized import with_edge_weights
from nas.searches import compatibility
from nas.searches.arch_loss import reward_forward, with_costs
from nas.searches.arch_step import ArchForward, ArchStep
from nas.searches.base import SupernetSearch
from nas.searches.lr_interval import set_steps, step_scheduler
from nas.searches.passes import accumulate_loss, split_batch
from nas.searches.simultaneous_step import SimultaneousStep
from nas.searches.weight_step import WeightStep, restore_gradients
from nas.searches.within_limits import within_limits
from nas.spaces.base import Network, Space
from nas.spaces.limits import Limits
from nas.utils.ranges import PROBABILITY, check_ranges
from nas.utils.scaled_lr import scaled_lr

StepOrder = Literal["arch_first", "weights_first", "simultaneous"]


@runtime_checkable
class StagedCallback(Protocol):
    """A callback that replaces the supernet in later stages of the search."""

    def check_edge(self, space: Space, edge: EdgeFactory) -> None:
        """Raise NasError if the edges of a later stage do not fit the space, before the first supernet is built."""

    def prepare(self, search: GradientSearch) -> None:
        """Raise NasError if the search cannot run in stages."""

    def replay(self, search: GradientSearch, stage: int, state: Mapping[str, Tensor]) -> None:
        """Give a new search the supernet of ``stage``, so that the tensors ``state`` of a checkpoint fit it."""


@check_ranges(label_smoothing=PROBABILITY)
class GradientSearch(SupernetSearch):
    """Alternates steps on the supernet's weights and on the parameters of a relaxation.

    A training batch is ``{"train": (x, y), "val": (x, y)}``: "train" is the batch of the weight step, "val" that of
    the architecture step. With ``arch_step.single_level`` both steps use "train", and a batch may also be (x, y).

    Args:
        space: the search space.
        relaxation: builds the distribution over architectures from the space's cells.
        weight_step: options of the step on the weights.
        arch_step: options of the step on the relaxation; None: the relaxation is not trained.
        edge: builds the edges of the supernet.
        step_order: the step that comes first. "simultaneous": both steps use one sample, one forward and one backward
            pass (DSNAS); requires ``arch_step.single_level``.
        discretization: derives a cell's genotype from the relaxation's scores; None: the strongest ops. A mapping
            gives some cell types their own rule.
        label_smoothing: of the training losses, for image classification.
        callbacks: callbacks that belong to the method, such as the annealing of a temperature.
        name: name of the method.

    Raises:
        NasError: if the parts contradict each other, or the space does not support them.
    """

    def __init__(
        self,
        space: Space,
        relaxation: Callable[[Mapping[str, Cell]], Relaxation],
        weight_step: WeightStep,
        arch_step: ArchStep | None = None,
        edge: EdgeFactory = MixedEdge,
        step_order: StepOrder = "arch_first",
        discretization: Discretization | Mapping[str, Discretization] | None = None,
        label_smoothing: float = 0.0,
        callbacks: Sequence[pl.Callback] = (),
        name: str = "gradient",
    ) -> None:
        compatibility.check_kinds(space, weight_step, arch_step, callbacks)
        for callback in self._staged(callbacks):
            callback.check_edge(space, edge)
        super().__init__(space, name, edge)
        self.task = task_of(space, label_smoothing)
        self.weight_step, self.arch_step = weight_step, ArchStep() if arch_step is None else arch_step
        self.relaxation = with_edge_weights(space.cells, relaxation)
        self.relaxation.prepare(space.notation, space.macs if space.has_macs_table else None)
        compatibility.check_arch_step(self.relaxation, self.arch_step, self.task)
        compatibility.check_parts(self.relaxation, self.arch_step, weight_step, edge, step_order)
        if weight_step.alignment is not None:
            weight_step.alignment.check(self.supernet)
        self.step_order, self.edge = step_order, edge
        compatibility.check_discretization(discretization)
        self.discretization = discretize if discretization is None else discretization
        for rule in self._rules().values():
            space.check_discretization(rule)
        # attributes of the search, so that their state is part of its state_dict
        self.perturbation, self.reward = weight_step.perturbation, self.arch_step.reward
        self.cost_target = self.arch_step.active_cost_target
        resource = self.arch_step.resource
        self.resource = None if resource is None else resource(self.supernet, space.cells, space.shape)
        self.stage = self.first_epoch_of_stage = 0
        self.selected: Genotype | None = None
        self.weights: dict[str, torch.nn.Parameter] = dict(self.supernet.named_parameters())
        """The supernet's parameters by name."""
        self.callbacks = list(callbacks)
        compatibility.check_one_staged(self.staged_callbacks())
        for callback in self.staged_callbacks():
            callback.prepare(self)

    def genotype(self) -> Genotype:
        """Return the genotype that a callback selected, or else the mode of the relaxation, within the limits."""
        mode = self.selected or Genotype(self.space.notation, self.relaxation.mode(self.masks, self._rules()))
        return mode if self.limits is None else within_limits(self.limits, mode, self.relaxation, self.masks)

    def use_limits(self, limits: Limits, multiplier_lr: float) -> None:
        super().use_limits(limits, multiplier_lr)
        if compatibility.can_penalize(self.relaxation, self.arch_step):
            self.resource = BudgetPenalty(limits, self.resource, multiplier_lr)

    def _rules(self) -> dict[str, Discretization]:
        """Return the discretization rule of each cell type."""
        rule = self.discretization
        return {name: rule if callable(rule) else rule.get(name, discretize) for name in self.space.cells}

    def loss(self, batch: Batch, weights: Weights | None = None) -> Tensor:
        """Return the architecture loss: the task's loss under a new sample of the relaxation, plus all penalties.

        With ``weights``, which replace the supernet's parameters, its batch norm statistics are not updated.
        """
        return self.arch_forward(batch, weights).loss

    def arch_forward(
        self,
        batch: Batch,
        weights: Weights | None = None,
        network: Callable[[Tensor, Architecture], Tensor] | None = None,
    ) -> ArchForward:
        """Compute the architecture loss of ``loss`` together with the logits and the sampled architecture.

        ``network`` executes the supernet if ``weights`` is None; the default is the supernet itself.
        """
        network = self.supernet if network is None else network
        if self.reward is not None:
            return reward_forward(self, self.arch_step, self.relaxation, batch, network)
        x, target = batch
        arch = self.relaxation.sample(self.masks)
        if weights is None:
            logits = network(x, arch)
        else:
            call = self.supernet.call_with if self.executor is None else self.executor.call_with
            logits = call(weights, x, arch)
        loss = self.task.loss(logits, target, training=self.arch_step.smooth_labels)
        return ArchForward(with_costs(self, self.arch_step, self.relaxation, loss, arch), logits, arch)

    def arch_forward_in_passes(self, batch: Batch, weights: Weights | None = None) -> ArchForward:
        """Compute the architecture loss in passes of ``images_per_pass`` images under one sampled architecture."""
        assert weights is None, "a method with unrolled weights takes a single pass"
        arch = self.relaxation.sample(self.masks)
        parts = split_batch(batch, self.images_per_pass)
        task_loss = partial(self.task.loss, training=self.arch_step.smooth_labels)
        loss, logits = accumulate_loss(self.step_network, task_loss, arch, parts)
        return ArchForward(with_costs(self, self.arch_step, self.relaxation, loss, arch), logits, arch)

    def accumulate(self, images_per_pass: int) -> None:
        """Divide each step into passes. Raises NasError if a step of the method needs a single pass."""
        compatibility.check_passes(self.weight_step, self.arch_step, self.relaxation, self.step_order)
        self.images_per_pass = images_per_pass

    def train_weights(self, batch: Batch, optimizer: Any) -> None:
        """Take a weight step on a batch. ``optimizer`` is Lightning's wrapper of the weight optimizer."""
        self.weight_step.take(self, self.relaxation, batch, optimizer)

    def train_architecture(self, batches: Mapping[str, Batch], optimizers: Sequence[Any], update: bool = True) -> None:
        """Take an architecture step, or without ``update`` only compute its gradient (warm-up)."""
        whole = partial(self.arch_forward, network=self.step_network)
        forward = whole if self.images_per_pass is None else self.arch_forward_in_passes
        trained = {name: weight for name, weight in self.weights.items() if weight.requires_grad}
        self.arch_step.take(self, self.relaxation, forward, trained, batches, optimizers, update)

    def training_step(self, batch: Mapping[str, Batch], batch_idx: int) -> None:
        optimizers = self.wrapped_optimizers()
        if self.arch_step.single_level:
            # dataset.bilevel=false yields pairs (x, y) of all training images
            train = batch["train"] if isinstance(batch, Mapping) else batch
            batch = {"train": train, "val": train}
        warm = self.current_epoch < self.first_epoch_of_stage + self.arch_step.warmup_length(self.trainer.max_epochs)
        due = self.arch_step.is_due(batch_idx + (self.step_order != "arch_first")) and len(optimizers) > 1
        steps = [lambda: self.train_weights(batch["train"], optimizers[0])]
        if self.step_order == "simultaneous":
            both = SimultaneousStep(self.weight_step, self.arch_step, self.resource)
            steps = [lambda: both.take(self, self.relaxation, batch["train"], optimizers, update=due and not warm)]
        elif due and (not warm or self.reward is not None):
            steps.append(lambda: self.train_architecture(batch, optimizers, update=not warm))
        with scaled_lr(optimizers[0].optimizer, self.task.lr_scale(batch["train"][0])):
            for step in reversed(steps) if self.step_order == "arch_first" else steps:
                step()
        step_scheduler(self.lr_schedulers(), per_step=True)

    def configure_callbacks(self) -> list[pl.Callback]:
        return self.callbacks

    def configure_optimizers(self) -> Any:
        self.check_precision(str(self.trainer.precision))
        optimizers = [self.weight_step.build_optimizer(self.supernet)]
        if self.arch_step.optimizer is not None:
            optimizers.append(self.arch_step.optimizer(self.relaxation.parameters()))
        schedulers = [] if self.weight_step.scheduler is None else [self.weight_step.scheduler(optimizers[0])]
        return optimizers, set_steps(schedulers, self.trainer)

    def wrapped_optimizers(self) -> list[Any]:
        """Return the optimizers of the weights and, if it is trained, of the relaxation, in Lightning's wrappers."""
        wrapped = self.optimizers()
        return list(wrapped) if isinstance(wrapped, list) else [wrapped]

    def weight_optimizer(self) -> Optimizer | None:
        """Return the optimizer of the weights, or None before the trainer has built it."""
        trainer = self._trainer
        return trainer.optimizers[0] if trainer is not None and trainer.optimizers else None

    def replace_supernet(self, supernet: Network) -> None:
        """Replace the supernet by ``supernet``, which is moved to the same device, dtype and training mode."""
        like = next(self.supernet.parameters())
        supernet.to(like.device, like.dtype).train(self.supernet.training)
        self.supernet = supernet
        self.weights = dict(supernet.named_parameters())

    def staged_callbacks(self) -> list[StagedCallback]:
        """Return the callbacks that divide the search into stages."""
        return self._staged(self.callbacks)

    @staticmethod
    def _staged(callbacks: Sequence[pl.Callback]) -> list[StagedCallback]:
        return [callback for callback in callbacks if isinstance(callback, StagedCallback)]

    def check_data(self, data: object) -> None:
        super().check_data(data)
        compatibility.check_bilevel(data, self.arch_step)

    def check_precision(self, precision: str) -> None:
        compatibility.check_precision(precision)

    def diagnostics(self) -> dict[str, float]:
        """Return the entropy of the relaxation, the learning rates and, if there is one, the temperature."""
        rates = [float(optimizer.param_groups[0]["lr"]) for optimizer in self.wrapped_optimizers()]
        values = {"entropy": float(self.relaxation.entropy(self.masks))}
        values |= dict(zip(("weights_lr", "arch_lr"), rates, strict=False))
        if hasattr(self.relaxation, "tau"):
            values["tau"] = float(self.relaxation.tau)  # type: ignore[arg-type]
        return values | (self.resource.diagnostics() if isinstance(self.resource, BudgetPenalty) else {})

    def on_train_start(self) -> None:
        super().on_train_start()
        self.arch_step.warn_if_never_due(self.trainer.num_training_batches, self.step_order != "arch_first")
        if self.weight_step.decay_unsampled_weights:
            # the torch optimizer, because the state of Lightning's wrapper is not the restored one
            restore_gradients(self.wrapped_optimizers()[0].optimizer, self.weights.values())

    def on_validation_model_zero_grad(self) -> None:
        """Keep the supernet's gradients before a validation if unsampled weights are to decay.

        Lightning would set them to None, and the optimizer would then skip the unsampled weights.
        """
        self.relaxation.zero_grad()
        if not self.weight_step.decay_unsampled_weights:
            self.supernet.zero_grad()

    def on_train_epoch_start(self) -> None:
        self.relaxation.zero_grad()  # as in a resumed search, which has no gradients of the previous epoch

    def on_train_epoch_end(self) -> None:
        step_scheduler(self.lr_schedulers(), per_step=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["search"]["stage"] = self.stage
        checkpoint["search"]["selected"] = None if self.selected is None else self.space.native(self.selected)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.stage = checkpoint.get("search", {}).get("stage", 0)
        for callback in self.staged_callbacks() if self.stage else ():
            callback.replay(self, self.stage, checkpoint["state_dict"])
        super().on_load_checkpoint(checkpoint)
        selected = checkpoint["search"]["selected"]
        self.selected = None if selected is None else self.space.parse(selected)
