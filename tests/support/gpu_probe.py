"""Callback for tests that need an accelerator."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch


class NoSynchronization(pl.Callback):
    """Raise if a training step after the first few synchronizes the device."""

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx >= 2:
            torch.cuda.set_sync_debug_mode("error")

    def on_before_zero_grad(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any) -> None:
        assert module.device.type == "cuda"

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        torch.cuda.set_sync_debug_mode("default")
