"""The contract of every search, and what those with a supernet share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.func import functional_call

from nas.architecture.cell import Architecture, Genotype
from nas.architecture.masks import Masks
from nas.data.base import ImageData
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.objectives.classification import Classification
from nas.searches.random_state import check_state, random_state, restore_random_state
from nas.spaces.base import Space
from nas.spaces.notation import native_string
from nas.utils.errors import NasError

Batch = tuple[Tensor, Tensor]


class Observation(NamedTuple):
    """A loss just computed, before its step is taken, and what it was computed from."""

    half: str
    loss: Tensor
    batch: Batch | None
    arch: Architecture


class Search(pl.LightningModule, ABC):
    """A LightningModule whose answer is a genotype. Callbacks and entry points know nothing else of it.

    ``name`` is the method's name; a checkpoint remembers it, the space's, and the state of all random
    generators, and refuses to continue a search of another method or space.
    """

    def __init__(self, space: Space, name: str) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.space = space
        self.name = name
        self._random_state: dict[str, Any] | None = None

    @abstractmethod
    def genotype(self) -> Genotype:
        """The search's answer so far."""

    def diagnostics(self) -> dict[str, float]:
        """Numbers worth a line in the history, at the end of an epoch."""
        return {}

    def results(self) -> dict[str, Any]:
        """What the summary tells of this search beyond what it tells of every search, at the end."""
        return {}

    def batches(self, data: ImageData) -> pl.LightningDataModule:
        """What the trainer takes its batches from: the images, unless a search has no use for them."""
        return data

    def check_precision(self, precision: str) -> None:  # noqa: B027, a search may run in any
        """Raises NasError for a precision, by Lightning's name, in which the search cannot run."""

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
            raise NasError("ckpt_path: not written by a search; give the last.ckpt of a search's run directory")
        for what, mine in (("method", self.name), ("space", self.space.name)):
            if saved[what] != mine:
                raise NasError(
                    f"ckpt_path: the checkpoint is of {what} '{saved[what]}', this search has {what} '{mine}': "
                    f"leave out {what}={mine} to go on with it, or ckpt_path to start anew"
                )
        check_state(self, checkpoint["state_dict"], "search")
        self._random_state = saved["random"]

    def on_train_start(self) -> None:
        if self._random_state is not None:
            restore_random_state(self._random_state)
            self._random_state = None


class SupernetSearch(Search):
    """A search over a supernet: its weights, the masks of what is left, and the worth of a genotype in it."""

    def __init__(
        self, space: Space, name: str, task: Classification | None = None, edge: EdgeFactory = MixedEdge
    ) -> None:
        super().__init__(space, name)
        self.task = Classification() if task is None else task
        self.masks = Masks(space.cells)
        self.supernet = space.supernet(edge)
        self.observers: list[Callable[[Observation], None]] = []
        self._evaluated: Architecture = {}

    def observe(self, half: str, loss: Tensor, batch: Batch, arch: Architecture) -> None:
        """Shows a loss to the observers before its step is taken; one of them may raise."""
        for observer in self.observers:
            observer(Observation(half, loss.detach(), batch, arch))

    def evaluate(self, batch: Batch, arch: Architecture) -> tuple[Tensor, Tensor]:
        """Loss and accuracy (percent) of an architecture with the supernet's weights.

        Batch norm uses the statistics of the batch: those it has tracked belong to the mixture it was
        trained in. Nothing in the supernet changes.
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

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        loss, accuracy = self.evaluate(batch, self._evaluated)
        size = len(batch[1])
        self.log("val/loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=size)
        self.log("val/accuracy", accuracy, on_step=False, on_epoch=True, sync_dist=True, batch_size=size, prog_bar=True)
