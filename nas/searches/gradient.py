"""Search by gradient descent on architecture parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal, Protocol, runtime_checkable

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor
from torch.func import functional_call
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nas.architecture.cell import Architecture, Cell, CellGenotype, Genotype, discretize
from nas.gradients.base import ArchGradient, BilevelStep, Weights
from nas.gradients.first_order import FirstOrder
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.objectives.classification import Classification
from nas.objectives.perturbation import Perturbation
from nas.objectives.reinforce import Reinforce
from nas.objectives.resource_penalty import ResourceFactory
from nas.relaxations.base import Relaxation
from nas.searches.base import Batch, SupernetSearch
from nas.searches.compatibility import refuse_incoherent
from nas.spaces.base import Space
from nas.utils.errors import NasError

ClipScope = Literal["weights", "all", "all_stale"]
Order = Literal["arch_first", "weights_first"]
Derivation = Callable[[Cell, Tensor, Tensor | None], CellGenotype]


@runtime_checkable
class Staged(Protocol):
    """A schedule that gives the search other supernets in later stages."""

    def prepare(self, search: GradientSearch) -> None:
        """Raises NasError where the search cannot go through the stages."""

    def replay(self, search: GradientSearch, stage: int, state: Mapping[str, Tensor]) -> None:
        """Gives a new search the supernet of ``stage``, so that the tensors ``state`` of a checkpoint fit it."""


class GradientSearch(SupernetSearch):
    """Alternates a step on the supernet's weights and one on the relaxation's parameters.

    A batch is ``{"train": (x, y), "val": (x, y)}``. ``order`` says which step comes first. ``clip_norm``
    bounds the norm of the weights' gradient; ``clip_scope`` says what counts towards it: the weights, "all"
    (also the gradient that the weight loss gives alpha), or "all_stale" (and what the last architecture
    step left there, as in AutoDL-Projects, which clears only its own gradients before each step).
    ``idle_decay`` lets momentum and weight decay go on moving weights that a sampled path leaves idle, once they
    have been used: what zeroed gradients did before torch 2.0 cleared them to None.
    Architecture steps begin after ``warmup_epochs``; without an ``arch_optimizer`` there are none.
    ``single_level`` trains both on the same batch, that of the weights. ``perturbation`` changes the architecture
    that the weights are trained on. ``derive`` makes a cell's genotype of its scores, or names for some cell types
    what does. Where a schedule divides the search into stages, the warm-up is that of each stage.
    ``resource`` adds the cost of the ops to the loss of the architecture step; ``arch_clip_norm`` bounds the norm of
    that step's gradient. ``reward`` takes the place of the loss's gradient where draws have none; it watches in the
    warm-up too. ``batch_arch_steps`` False leaves the architecture steps to a callback (ENAS).
    ``schedules`` are callbacks that belong to the method, such as the annealing of a temperature.
    """

    def __init__(
        self,
        space: Space,
        relaxation: Callable[[Mapping[str, Cell]], Relaxation],
        weight_optimizer: Callable[[Any], Optimizer],
        arch_optimizer: Callable[[Any], Optimizer] | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        gradient: ArchGradient | None = None,
        edge: EdgeFactory = MixedEdge,
        task: Classification | None = None,
        order: Order = "arch_first",
        clip_norm: float | None = 5.0,
        clip_scope: ClipScope = "weights",
        warmup_epochs: int = 0,
        idle_decay: bool = False,
        single_level: bool = False,
        perturbation: Perturbation | None = None,
        resource: ResourceFactory | None = None,
        reward: Reinforce | None = None,
        arch_clip_norm: float | None = None,
        batch_arch_steps: bool = True,
        derive: Derivation | Mapping[str, Derivation] = discretize,
        schedules: Sequence[pl.Callback] = (),
        name: str = "gradient",
    ) -> None:
        super().__init__(space, name, task, edge)
        self.relaxation = relaxation(space.cells)
        self.gradient = FirstOrder() if gradient is None else gradient
        self.order = order
        self.clip_norm, self.clip_scope = clip_norm, clip_scope
        self.warmup_epochs = warmup_epochs
        self.idle_decay = idle_decay
        self.single_level, self.perturbation = single_level, perturbation
        self.resource = None if resource is None else resource(self.supernet, space.cells, space.shape)
        self.reward = reward
        self.arch_clip_norm = arch_clip_norm
        self.batch_arch_steps = batch_arch_steps
        self.derive, self.edge = derive, edge
        self.stage = self.stage_began = 0
        self.selected: Genotype | None = None
        self._make_weight_optimizer, self._make_arch_optimizer = weight_optimizer, arch_optimizer
        self._make_scheduler = scheduler
        self._schedules = list(schedules)
        self._weights: dict[str, torch.nn.Parameter] = dict(self.supernet.named_parameters())
        learns = arch_optimizer is not None
        refuse_incoherent(self.relaxation, self.gradient, self.resource, reward, learns, batch_arch_steps)
        for schedule in self._schedules:
            if isinstance(schedule, Staged):
                schedule.prepare(self)

    def genotype(self) -> Genotype:
        """What a callback selected, or else the strongest ops of the relaxation."""
        if self.selected is not None:
            return self.selected
        scores = self.relaxation.scores(self.masks)
        left = {name: cell.masked(self.masks.lists(name)) for name, cell in self.space.cells.items()}
        edges = self.relaxation.edge_scores(self.masks)
        derive = {name: self.derive if callable(self.derive) else self.derive.get(name, discretize) for name in left}
        cells = {name: derive[name](cell, scores[name], edges[name]) for name, cell in left.items()}
        return Genotype(self.space.notation, cells)

    def diagnostics(self) -> dict[str, float]:
        found = {"entropy": float(self.relaxation.entropy(self.masks))}
        optimizers = self._optimizers()
        for name, optimizer in zip(("weights_lr", "arch_lr"), optimizers, strict=False):
            found[name] = float(optimizer.param_groups[0]["lr"])
        if hasattr(self.relaxation, "tau"):
            found["tau"] = float(self.relaxation.tau)  # type: ignore[arg-type]
        return found

    def configure_callbacks(self) -> list[pl.Callback]:
        return self._schedules

    def check_precision(self, precision: str) -> None:
        if precision not in ("32-true", "64-true", "bf16-mixed"):
            raise NasError(
                f"trainer.precision={precision}: a gradient search runs in 32-true, bf16-mixed, 64-true; "
                "architecture parameters stay float32 and float16's loss scaling does not reach their gradients"
            )

    def configure_optimizers(self) -> Any:
        self.check_precision(str(self.trainer.precision))
        optimizers = [self._make_weight_optimizer(self.supernet.parameters())]
        if self._make_arch_optimizer is not None:
            optimizers.append(self._make_arch_optimizer(self.relaxation.parameters()))
        schedulers = [] if self._make_scheduler is None else [self._make_scheduler(optimizers[0])]
        return optimizers, schedulers

    def training_step(self, batch: Mapping[str, Batch], batch_idx: int) -> None:
        optimizers = self._optimizers()
        if self.single_level:
            whole = batch["train"] if isinstance(batch, Mapping) else batch  # all training images: bilevel=false
            batch = {"train": whole, "val": whole}
        steps = [lambda: self._weight_step(batch["train"], optimizers[0])]
        learns = self.current_epoch - self.stage_began >= self.warmup_epochs
        if len(optimizers) > 1 and self.batch_arch_steps and (learns or self.reward is not None):
            steps.append(lambda: self._arch_step(batch, optimizers, learns))
        for step in reversed(steps) if self.order == "arch_first" else steps:
            step()

    def on_train_start(self) -> None:
        super().on_train_start()
        if self.idle_decay:
            optimizer = self._optimizers()[0].optimizer  # the state of Lightning's wrapper is not the restored one
            for weight in self._weights.values():
                if weight.grad is None and weight in optimizer.state:
                    weight.grad = torch.zeros_like(weight)

    def on_validation_model_zero_grad(self) -> None:
        """Before a validation Lightning takes all gradients away, with which idle weights would stop decaying."""
        self.relaxation.zero_grad()
        if not self.idle_decay:
            self.supernet.zero_grad()

    def on_train_epoch_start(self) -> None:
        self.relaxation.zero_grad()  # a resumed search has no gradients of the epoch before

    def on_train_epoch_end(self) -> None:
        scheduler = self.lr_schedulers()
        if scheduler is not None:
            scheduler.step()  # type: ignore[union-attr]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["search"]["stage"] = self.stage
        checkpoint["search"]["selected"] = None if self.selected is None else self.space.native(self.selected)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.stage = checkpoint.get("search", {}).get("stage", 0)
        for schedule in self._schedules if self.stage else ():
            if isinstance(schedule, Staged):
                schedule.replay(self, self.stage, checkpoint["state_dict"])
        super().on_load_checkpoint(checkpoint)
        selected = checkpoint["search"]["selected"]
        self.selected = None if selected is None else self.space.parse(selected)

    def loss(self, batch: Batch, weights: Weights | None = None) -> Tensor:
        """The loss whose gradient moves alpha: the task's, under a fresh relaxation, plus its penalty.

        With ``weights`` the batch norm statistics of the supernet stay as they are.
        """
        return self._arch_loss(batch, weights)[0]

    def _arch_loss(self, batch: Batch, weights: Weights | None) -> tuple[Tensor, Tensor, Architecture]:
        x, target = batch
        arch = self.relaxation(self.masks)
        if weights is None:
            logits = self.supernet(x, arch)
        else:
            buffers = {name: buffer.clone() for name, buffer in self.supernet.named_buffers()}
            logits = functional_call(self.supernet, {**weights, **buffers}, (x, arch))
        penalty = self.relaxation.penalty()
        if self.resource is not None:
            penalty = penalty + self.resource(arch, self.relaxation, self.masks)
        loss = self.task.loss(logits, target)
        if self.reward is not None:
            accuracy = self.task.accuracy(logits, target)
            loss = self.reward(self.relaxation, self.masks, arch, loss, accuracy, self._mean_over_ranks)
        return loss + penalty, logits, arch

    def _weight_step(self, batch: Batch, optimizer: Any) -> None:
        x, target = batch
        optimizer.zero_grad(set_to_none=not self.idle_decay)
        if self.clip_scope == "all":
            self.relaxation.zero_grad()
        arch = self.relaxation.for_weights(self.masks)
        if self.clip_scope == "weights":
            arch = {name: weights.detach() for name, weights in arch.items()}
        if self.perturbation is not None:
            self.supernet.eval()
            arch = self.perturbation(
                arch, lambda other: self.task.loss(self.supernet(x, other), target), self._mean_over_ranks
            )
            self.supernet.train()
        logits = self.supernet(x, arch)
        loss = self.task.loss(logits, target)
        self.observe("train", loss, batch, arch)
        self.manual_backward(loss)
        if self.clip_norm is not None:
            counted = self.supernet.parameters() if self.clip_scope == "weights" else self.parameters()
            clip_grad_norm_(counted, self.clip_norm)
        optimizer.step()
        self._record("train", loss, logits, target)

    def _arch_step(self, halves: Mapping[str, Batch], optimizers: Sequence[Any], learns: bool = True) -> None:
        alphas = list(self.relaxation.parameters())
        seen: dict[str, tuple[Tensor, Tensor]] = {}

        def loss(batch: Batch, weights: Weights | None = None) -> Tensor:
            value, logits, arch = self._arch_loss(batch, weights)
            self.observe("arch", value, batch, arch)
            if batch is halves["val"]:
                seen["val"] = value, logits
            return value

        with self._precision():
            step = BilevelStep(
                loss, alphas, self._weights, halves["train"], halves["val"], optimizers[0], self._mean_over_ranks
            )
            grads = self.gradient(step)
        if learns:
            for alpha, grad in zip(alphas, grads, strict=True):
                alpha.grad = grad
            if self.arch_clip_norm is not None:
                clip_grad_norm_(alphas, self.arch_clip_norm)
            # stepped past Lightning's wrapper, so that one bilevel step counts once in trainer.global_step
            optimizers[1].optimizer.step()
        self._record("arch", *seen["val"], halves["val"][1])

    def _precision(self) -> Any:
        """Differences of gradients drown in bfloat16: the unrolled gradient is computed in full precision."""
        if getattr(self.gradient, "full_precision", False):
            return torch.autocast(self.device.type, enabled=False)
        return nullcontext()

    def _record(self, half: str, loss: Tensor, logits: Tensor, target: Tensor) -> None:
        values = {f"{half}/loss": loss.detach(), f"{half}/accuracy": self.task.accuracy(logits, target)}
        self.log_dict(values, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(target))

    def _mean_over_ranks(self, tensors: list[Tensor]) -> list[Tensor]:
        """Gradients taken by autograd.grad pass by DDP's hooks: averaged here, in one message."""
        if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
            return tensors
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        parts = flat.split([t.numel() for t in tensors])
        return [part.view_as(t) for part, t in zip(parts, tensors, strict=True)]

    def _optimizers(self) -> list[Any]:
        found = self.optimizers()
        return list(found) if isinstance(found, list) else [found]
