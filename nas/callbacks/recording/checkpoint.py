"""Checkpoints of complete epochs and, for a run that can resume from them, of steps within an epoch."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from nas.searches.base import Search
from nas.utils.direction import direction_of
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT_OR_ZERO, MAX_COUNT, Range, check_ranges


@check_ranges(
    save_top_k=Range(-1, MAX_COUNT, whole=True), every_n_epochs=COUNT_OR_ZERO, every_n_train_steps=COUNT_OR_ZERO
)
class Checkpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint with exact resume from a checkpoint within an epoch.

    With ``every_n_train_steps`` or ``train_time_interval``, a checkpoint is also written at the end of each epoch.
    A checkpoint that is due at the last step of an epoch is written at the end of the epoch. One that is due before a
    validation, or while gradients are accumulated, is written at the next step: Lightning would skip the validation
    or lose the gradients on resume.

    Raises:
        NasError: if a search that does not resume within epochs has checkpoints of steps, or ``mode`` is not the
            direction of the monitored metric.
    """

    _due = False  # whether a save was postponed; no __init__, so that options are checked by the signature of the base

    @property
    def state_key(self) -> str:
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        by_step = self._every_n_train_steps >= 1 or self._train_time_interval is not None
        if by_step and isinstance(pl_module, Search) and not pl_module.resumes_within_epochs:
            raise NasError(
                "callbacks.checkpoint.every_n_train_steps: this search resumes from complete epochs only. Leave out "
                "every_n_train_steps and train_time_interval."
            )
        mode = None if self.monitor is None else direction_of(self.monitor)
        if mode not in (None, self.mode):
            better = "higher" if mode == "max" else "lower"
            raise NasError(
                f"callbacks.checkpoint.mode={self.mode}: {self.monitor} is better when it is {better}. Set "
                f"callbacks.checkpoint.mode={mode}."
            )
        super().setup(trainer, pl_module, stage)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        every = self._every_n_train_steps
        self._due |= every >= 1 and trainer.global_step % every == 0
        blocked = self._is_blocked(trainer, batch_idx)
        if trainer.is_last_batch or blocked:
            return
        if self._due:
            self._save(trainer)
        elif every < 1:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def request(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        """Write a checkpoint at the end of this step, and return whether one can be written there."""
        free = not self._is_blocked(trainer, batch_idx)
        self._due |= free
        return free

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if self._every_n_epochs < 1 and self._should_save_on_train_epoch_end(trainer):
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        self._due = False
        if not self._should_skip_saving_checkpoint(trainer):
            candidates = self._monitor_candidates(trainer)
            self._save_topk_checkpoint(trainer, candidates)
            self._save_last_checkpoint(trainer, candidates)

    @staticmethod
    def _is_blocked(trainer: pl.Trainer, batch_idx: int) -> bool:
        validation = trainer.val_check_batch
        validates = trainer.enable_validation and bool(validation) and (batch_idx + 1) % (validation or 1) == 0
        return validates or (batch_idx + 1) % trainer.accumulate_grad_batches != 0
