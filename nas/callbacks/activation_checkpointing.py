"""Activation checkpointing of the trained network."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import nn

from nas.nn.activation_checkpointing import cells_of, checkpoint_cells, keep_activations
from nas.searches.gradient import GradientSearch
from nas.training.network_training import Training
from nas.utils.errors import NasError


class ActivationCheckpointing(pl.Callback):
    """Store only the inputs of cells for the backward pass, and compute their activations again (``checkpoint``).

    A step takes less memory and more time, that of another forward pass. Results are bit-equal on a CPU.

    Raises:
        NasError: in ``setup``, if the run trains no network with cells.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        network = trained_network(pl_module)
        if stage == "fit" and (network is None or not cells_of(network)):
            raise NasError("activation_checkpointing=true: this run trains no network with cells. Leave it out.")

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        network = trained_network(pl_module)
        if network is not None:  # in each step, because a search in stages replaces its supernet
            checkpoint_cells(network)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        network = trained_network(pl_module)
        if network is not None:
            keep_activations(network)


def trained_network(module: pl.LightningModule) -> nn.Module | None:
    """Return the network that a run trains by gradient steps on batches, None if there is none."""
    if isinstance(module, GradientSearch):
        return module.supernet
    return module.network if isinstance(module, Training) else None
