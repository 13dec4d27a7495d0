"""Checkpoints of searches whose supernets share memory."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor


class OwnTensors(pl.Callback):
    """Store copies of tensors in checkpoints, because PyTorch stores a view with its whole base tensor."""

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state = checkpoint["state_dict"]
        for name, value in state.items():
            state[name] = value.clone() if isinstance(value, Tensor) else value
