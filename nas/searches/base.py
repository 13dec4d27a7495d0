"""Base classes of searches: the common contract, and the part that all supernet searches share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.func import functional_call

from nas.architecture.cell import Architecture, Genotype
from nas.architecture.masks import Masks
from nas.data.base import ImageData
from nas.gradients.base import Batch
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.objectives.classification import Classification
from nas.searches.random_state import check_state_dict, random_state, restore_random_state
from nas.spaces.base import Space
from nas.spaces.notation import native_string
from nas.utils.errors import NasError


class Observation(NamedTuple):
    """A loss that was computed but not yet used in a step, with its inputs."""

    phase: str
    """The step that the loss belongs to: "train" (weights) or "arch" (architecture)."""
    loss: Tensor
    batch: Batch | None
    arch: Architecture


class Search(pl.LightningModule, ABC):
    """A LightningModule whose result is a genotype. Callbacks and entry points rely on this interface alone.

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
        self.step_values: dict[str, Tensor] = {}
        """Scalars of the current step on the device, by metric name, for the curves of the run."""
        self._random_state: dict[str, Any] | None = None
        self.check_space(space)

    @abstractmethod
    def genotype(self) -> Genotype:
        """Return the current result of the search."""

    def check_space(self, space: Space) -> None:  # noqa: B027, most searches run on every space
        """Raise NasError if the method is not defined on ``space``. Called on construction."""

    def check_precision(self, precision: str) -> None:  # noqa: B027, most searches run in every precision
        """Raise NasError if the search cannot run in ``precision``, given by Lightning's name."""

    def has_ended(self) -> bool:
        """Return whether the search is complete whatever the number of epochs, such as one with its own budget."""
        return False

    def diagnostics(self) -> dict[str, float]:
        """Return additional numbers for the history, at the end of an epoch."""
        return {}

    def results(self) -> dict[str, Any]:
        """Return additional entries of the summary, at the end of the search."""
        return {}

    def batches(self, data: ImageData) -> pl.LightningDataModule:
        """Return the trainer's data module: ``data`` itself, unless the search does not train on images."""
        return data

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


class Validation(NamedTuple):
    """Validation of the derived network with the weights of a supernet."""

    accuracy: float
    """Accuracy in percent."""
    images: int
    """Number of images over all ranks."""
    step: int
    """Number of optimizer steps before it."""


class StepExecutor(Protocol):
    """Alternative execution of the passes of training steps, for example together with other searches."""

    def forward(self, x: Tensor, arch: Architecture) -> Tensor:
        """Return the logits of the supernet."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradients of a loss in all parameters."""
        ...

    def grad(self, loss: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the gradients of a loss with respect to ``inputs``."""
        ...


class SupernetSearch(Search):
    """A search with a weight-sharing supernet, the masks of its remaining ops, and their validation.

    Args:
        space: the search space.
        name: name of the method.
        edge: builds the edges of the supernet.

    Raises:
        NasError: if the method or its edges cannot run on the space.
    """

    def __init__(self, space: Space, name: str, edge: EdgeFactory = MixedEdge) -> None:
        super().__init__(space, name)
        space.check_edge(edge)
        self.task = Classification()
        self.masks = Masks(space.cells)
        self.supernet = space.supernet(edge)
        self.observers: list[Callable[[Observation], None]] = []
        self.executor: StepExecutor | None = None
        """Executor of the passes of training steps; None: the search executes them itself."""
        self.validation: Validation | None = None
        """The last validation, also of a resumed search."""
        self._evaluated: Architecture = {}
        self._images = 0

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

    def log_step(self, phase: str, loss: Tensor, logits: Tensor, target: Tensor) -> None:
        """Log loss and accuracy of a step as ``{phase}/loss`` and ``{phase}/accuracy``, averaged over the epoch."""
        values = {f"{phase}/loss": loss.detach(), f"{phase}/accuracy": self.task.accuracy(logits, target)}
        self.step_values.update(values)
        self.log_dict(values, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(target))

    def evaluate(self, batch: Batch, arch: Architecture) -> tuple[Tensor, Tensor]:
        """Return loss and accuracy (percent) of an architecture with the supernet's weights.

        Batch norm uses the statistics of the batch, because its running statistics belong to the mixture that was
        trained. The supernet is not changed.
        """
        x, target = batch
        buffers = {name: buffer.clone() for name, buffer in self.supernet.named_buffers()}
        training = self.supernet.training
        self.supernet.train()
        try:
            with torch.no_grad():
                logits = functional_call(self.supernet, buffers, (x, arch))
        finally:
            self.supernet.train(training)
        return self.task.loss(logits, target, training=False), self.task.accuracy(logits, target)

    def on_validation_epoch_start(self) -> None:
        self._evaluated = self.space.encode(self.genotype(), like=torch.zeros((), device=self.device))
        self._images = 0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        loss, accuracy = self.evaluate(batch, self._evaluated)
        size = len(batch[1])
        self._images += size
        self.log("val/loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=size)
        self.log("val/accuracy", accuracy, on_step=False, on_epoch=True, sync_dist=True, batch_size=size, prog_bar=True)

    def on_validation_end(self) -> None:
        accuracy = self.trainer.callback_metrics.get("val/accuracy")
        if accuracy is None or self.trainer.sanity_checking:
            return
        images = torch.tensor(self._images, device=self.device)
        total = int(self.trainer.strategy.reduce(images, reduce_op="sum"))
        data = getattr(self.trainer, "datamodule", None)
        # ranks repeat an image if the number of images is no multiple of their number
        total = min(total, len(data.part_indices()["val"])) if isinstance(data, ImageData) else total
        self.validation = Validation(float(accuracy), total, self.trainer.global_step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["search"]["validation"] = None if self.validation is None else list(self.validation)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        saved = checkpoint["search"].get("validation")
        self.validation = None if saved is None else Validation(*saved)
