"""Base classes of searches: the common contract, and the part that all supernet searches share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, Genotype
from nas.architecture.masks import Masks
from nas.data.kinds import DataSet
from nas.gradients.base import Batch
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.objectives.budget_penalty import BudgetPenalty
from nas.objectives.cost_target import CostTarget
from nas.objectives.resource_penalty import ResourcePenalty
from nas.objectives.task_of import task_of
from nas.searches.lr_interval import drop_lengths
from nas.searches.step_executor import StepExecutor
from nas.spaces.base import Output, Space
from nas.spaces.check_inputs import check_data
from nas.spaces.limits import Limits
from nas.spaces.notation import native_string
from nas.utils.errors import NasError
from nas.utils.random_state import check_state_dict, random_state, restore_random_state


class Observation(NamedTuple):
    """A loss that was computed but not yet used in a step, with its inputs."""

    phase: str
    """The step that the loss belongs to: "train" (weights) or "arch" (architecture)."""
    loss: Tensor
    batch: Batch | None
    arch: Architecture


class Search(pl.LightningModule, ABC):
    """A LightningModule whose result is a genotype. Callbacks and entry points rely only on this interface.

    Checkpoints contain the names of the method and the space, and the state of all global random generators. A search
    of another method or space refuses them. A search is resumed from the end of an epoch, unless
    ``resumes_within_epochs`` is set.

    Args:
        space: the search space.
        name: name of the method.

    Raises:
        NasError: if the method cannot run on the space.
    """

    resumes_within_epochs: ClassVar[bool] = False
    """Flag of a search whose checkpoints within an epoch contain its whole state."""

    def __init__(self, space: Space, name: str) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.space = space
        self.name = name
        self.limits: Limits | None = None
        self.cost_target: CostTarget | None = None
        self.step_values: dict[str, Tensor] = {}
        """Scalars of the current step on the device, by metric name, for the curves of the run."""
        self._random_state: dict[str, Any] | None = None
        self.check_space(space)

    @abstractmethod
    def genotype(self) -> Genotype:
        """Return the current result of the search."""

    def use_limits(self, limits: Limits, multiplier_lr: float) -> None:
        """Restrict the result to genotypes within limits; called before the search starts.

        Args:
            limits: limits on the costs of the final network.
            multiplier_lr: step size of the multipliers of their penalty, in a gradient search (``BudgetPenalty``).
        """
        self.limits = limits

    def check_space(self, space: Space) -> None:  # noqa: B027, most searches run on every space
        """Raise NasError if the method is not defined on ``space``. Called on construction."""

    def check_precision(self, precision: str) -> None:  # noqa: B027, most searches run in every precision
        """Raise NasError if the search cannot run in ``precision``, given by Lightning's name."""

    def has_ended(self) -> bool:
        """Return whether the search is complete whatever the number of epochs, such as one with its own budget."""
        return False

    def progress(self, finished: float, epochs: int) -> tuple[float, int]:
        """Return the progress in epochs after ``finished`` of ``epochs`` epochs, and the expected epochs."""
        return finished, epochs

    def close_workers(self) -> None:  # noqa: B027, most searches have none
        """End the worker processes of the search, also after an error."""

    def teardown(self, stage: str) -> None:
        self.close_workers()

    def diagnostics(self) -> dict[str, float]:
        """Return additional numbers for the history, at the end of an epoch."""
        return {}

    def results(self) -> dict[str, Any]:
        """Return additional entries of the summary, at the end of the search."""
        return {}

    def batches(self, data: DataSet) -> pl.LightningDataModule:
        """Return the trainer's data module: ``data`` itself, unless the search does not train on images."""
        return data

    def on_fit_start(self) -> None:
        data = getattr(self.trainer, "datamodule", None)
        self.check_data(getattr(data, "data", data))

    def check_data(self, data: object) -> None:
        """Raise NasError if a data set has other inputs or classes than the space."""
        check_data(data, self.space.classes, self.space.shape)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["search"] = {
            "method": self.name,
            "space": self.space.name,
            "genotype": native_string(self.genotype()),
            "random": random_state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        saved = checkpoint.get("search")
        if saved is None:
            raise NasError(
                "ckpt_path: the file is not the checkpoint of a search. Use the last.ckpt of a search's run directory."
            )
        for key, current in (("method", self.name), ("space", self.space.name)):
            if saved[key] != current:
                raise NasError(
                    f"ckpt_path: the checkpoint is of {key} '{saved[key]}', this search has {key} '{current}'. Remove "
                    f"{key}={current} to resume it, or remove ckpt_path to start from scratch."
                )
        check_state_dict(self, checkpoint["state_dict"], "search")
        self._random_state = saved["random"]

    def on_train_start(self) -> None:
        if self._random_state is not None:
            restore_random_state(self._random_state)
            self._random_state = None


PHASES = ("train", "arch", "val")
"""Prefixes of logged metrics: weight steps, architecture steps, validation."""


class Validation(NamedTuple):
    """Validation of the derived network with the weights of a supernet."""

    value: float
    """Metric of the task, such as the accuracy in percent."""
    examples: int
    """Number of images or tokens over all ranks."""
    step: int
    """Number of optimizer steps before it."""


class SupernetSearch(Search):
    """A search with a weight-sharing supernet, the masks of its remaining ops, and their validation.

    Args:
        space: the search space.
        name: name of the method.
        edge: builds the edges of the supernet.

    Raises:
        NasError: if the method or its edges cannot run on the space.
    """

    uses_batch_statistics: ClassVar[bool] = True
    """Flag of a module whose batch norm uses the statistics of the batch, also in validation."""

    def __init__(self, space: Space, name: str, edge: EdgeFactory = MixedEdge) -> None:
        super().__init__(space, name)
        space.check_edge(edge)
        self.task = task_of(space)
        self.epoch_metrics = nn.ModuleDict(
            {f"{phase}_metric": metric for phase in PHASES if (metric := self.task.epoch_metric()) is not None}
        )
        """Accumulators of the task's metric by phase, if it is not the mean over batches."""
        self.masks = Masks(space.cells)
        self.supernet = space.supernet(edge)
        self.resource: ResourcePenalty | BudgetPenalty | None = None
        """Penalty on the costs of sampled architectures."""
        self.observers: list[Callable[[Observation], None]] = []
        self.executor: StepExecutor | None = None
        """Executor of the passes of training steps; None: the search executes them itself."""
        self.images_per_pass: int | None = None
        """Images per pass of a step, whose gradients are accumulated; None: all images of the batch."""
        self.validation: Validation | None = None
        """The last validation, also of a resumed search."""
        self._evaluated: Architecture = {}
        self._examples = 0

    def observe(self, phase: str, loss: Tensor, batch: Batch, arch: Architecture) -> None:
        """Pass a loss to all observers before its step is taken. An observer may raise to prevent the step."""
        for observer in self.observers:
            observer(Observation(phase, loss.detach(), batch, arch))

    @property
    def step_network(self) -> Callable[[Tensor, Architecture], Tensor]:
        """Forward pass of the supernet in training steps, a function of images and an architecture."""
        return self.supernet if self.executor is None else self.executor.forward

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        if self.executor is None:
            super().backward(loss, *args, **kwargs)
        else:
            self.executor.backward(loss)

    def step_outputs(self, x: Any, arch: Architecture) -> Output:
        """Return the outputs of the supernet in a training step."""
        return self.supernet.outputs(x, arch) if self.executor is None else self.executor.outputs(x, arch)

    def log_step(self, phase: str, loss: Tensor, logits: Tensor, target: Tensor) -> None:
        """Log loss and metric of a step, averaged over the epoch, as ``{phase}/loss`` and ``{phase}/accuracy``."""
        score = self.task.score(logits, target)
        name = f"{phase}/{self.task.metric.name}"
        self.step_values.update({f"{phase}/loss": loss.detach(), name: self.task.value(score)})
        self.log_scores(phase, loss.detach(), score, len(target))

    def log_scores(self, phase: str, loss: Tensor, score: Tensor, size: int, prog_bar: bool = False) -> None:
        """Log loss and score of a batch, averaged over the epoch and the ranks.

        Args:
            phase: beginning of the names of both values, such as "val".
            loss: mean loss of the batch.
            score: score of the batch, as ``task.score`` returns it.
            size: number of examples.
            prog_bar: whether the progress bar shows the score.
        """
        options: dict[str, Any] = {"on_step": False, "on_epoch": True, "batch_size": size}
        name = f"{phase}/{self.task.metric.name}"
        value: Any = score
        if self.epoch_metrics:
            value = self.epoch_metrics[f"{phase}_metric"]
            value.update(score, size)
        self.log(f"{phase}/loss", loss, sync_dist=True, **options)
        self.log(name, value, sync_dist=not self.epoch_metrics, prog_bar=prog_bar, **options)

    def evaluate(self, batch: Batch, arch: Architecture) -> tuple[Tensor, Tensor]:
        """Return loss and score of an architecture with the supernet's weights; higher scores are better.

        The score of an image classifier is the accuracy in percent. Batch norm uses the statistics of the batch,
        because its running statistics belong to the mixture that was trained. The supernet is not changed.
        """
        x, target = batch
        training = self.supernet.training
        self.supernet.use_batch_statistics()
        try:
            with torch.no_grad():
                logits = self.supernet.call_with({}, x, arch)
        finally:
            self.supernet.train(training)
        return self.task.loss(logits, target, training=False), self.task.score(logits, target)

    def on_validation_epoch_start(self) -> None:
        self._evaluated = self.space.encode(self.genotype(), like=torch.zeros((), device=self.device))
        self._examples = 0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        loss, score = self.evaluate(batch, self._evaluated)
        self._examples += len(batch[1])
        self.log_scores("val", loss, score, len(batch[1]), prog_bar=True)

    def on_validation_end(self) -> None:
        value = self.trainer.callback_metrics.get(f"val/{self.task.metric.name}")
        if value is None or self.trainer.sanity_checking:
            return
        examples = torch.tensor(self._examples, device=self.device)
        total = int(self.trainer.strategy.reduce(examples, reduce_op="sum"))
        data = getattr(self.trainer, "datamodule", None)
        total = data.count_validated(total) if isinstance(data, DataSet) else total
        self.validation = Validation(float(value), total, self.trainer.global_step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["search"]["validation"] = None if self.validation is None else list(self.validation)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        drop_lengths(checkpoint)
        saved = checkpoint["search"].get("validation")
        self.validation = None if saved is None else Validation(*saved)
