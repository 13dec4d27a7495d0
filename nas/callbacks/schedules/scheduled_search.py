"""Requirement of callbacks whose schedule depends on the number of epochs."""

from __future__ import annotations

import pytorch_lightning as pl

from nas.searches.gradient import GradientSearch
from nas.utils.errors import NasError


def scheduled_search(
    callback: pl.Callback, trainer: pl.Trainer, module: pl.LightningModule
) -> tuple[GradientSearch, int]:
    """Return the search and its number of epochs.

    Raises:
        NasError: if ``module`` is no gradient search, or ``trainer.max_epochs`` is not a positive number.
    """
    epochs = trainer.max_epochs
    if epochs is None or epochs < 1 or not isinstance(module, GradientSearch):
        name = type(callback).__name__
        raise NasError(f"{name}: needs a gradient search with trainer.max_epochs. Set epochs to a whole number.")
    return module, epochs
