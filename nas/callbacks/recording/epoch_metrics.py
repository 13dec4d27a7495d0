"""Metrics of the current epoch, without earlier epochs, for every reader of ``trainer.callback_metrics``."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from nas.searches.base import SupernetSearch
from nas.training.base import BaseTraining
from nas.utils.errors import NasError

VALIDATION = ("val/", "test/")
"""Prefixes of the metrics that a validation logs: of a search, of a training."""


class EpochMetrics(pl.Callback):
    """Remove the metrics of earlier epochs at the start of each epoch.

    Lightning keeps the last value of every metric. Without this callback, an epoch without a validation would repeat
    the values of an earlier one in the history, the printed line, the summary and in early stopping.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.check_val_every_n_epoch == 1 and trainer.limit_val_batches:
            return
        for callback in trainer.checkpoint_callbacks:
            if (
                isinstance(callback, ModelCheckpoint)
                and callback._save_on_train_epoch_end
                and str(callback.monitor).startswith(VALIDATION)
            ):
                raise NasError(
                    f"callbacks.checkpoint.monitor={callback.monitor}: not measured in every epoch, because "
                    f"trainer.check_val_every_n_epoch={trainer.check_val_every_n_epoch} and "
                    f"trainer.limit_val_batches={trainer.limit_val_batches}. Set "
                    "callbacks.checkpoint.save_on_train_epoch_end=false, or validate in every epoch."
                )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        forget_metrics(trainer)


def forget_metrics(trainer: pl.Trainer) -> None:
    """Remove all metrics that were logged so far from ``trainer.callback_metrics``."""
    trainer.callback_metrics.clear()


def limited_validation(trainer: pl.Trainer, pl_module: pl.LightningModule) -> int | None:
    """Return the number of examples of the last validation if ``limit_val_batches`` may have left some out, else None.

    The examples are images or tokens.
    """
    limit = trainer.limit_val_batches  # 1.0: all batches, 1: one batch
    if isinstance(limit, float) and limit == 1.0:
        return None
    if isinstance(pl_module, SupernetSearch):
        return None if pl_module.validation is None else pl_module.validation.examples
    return pl_module.validated_images or None if isinstance(pl_module, BaseTraining) else None
