"""Callback for tests that need an accelerator."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch


class NoSynchronization(pl.Callback):
    """Raise if a training step synchronizes the device, apart from the first two steps and the last of an epoch.

    The callbacks of a run transfer losses after the last step of an epoch.
    """

    def __init__(self) -> None:
        self.checked = 0

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        assert module.device.type == "cuda"
        if batch_idx >= 2 and not trainer.is_last_batch:
            torch.cuda.set_sync_debug_mode("error")
            self.checked += 1

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        torch.cuda.set_sync_debug_mode("default")

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert self.checked, "the epoch is too short"
