"""Checkpoints of searches whose supernets share memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from torch import Tensor


class CompactCheckpoints(pl.Callback):
    """Store copies of tensors in checkpoints, because PyTorch stores a view with its whole base tensor."""

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state = checkpoint["state_dict"]
        for name, value in state.items():
            state[name] = _clone(value)
        if "optimizer_states" in checkpoint:
            checkpoint["optimizer_states"] = _clone(checkpoint["optimizer_states"])


def _clone(value: Any) -> Any:
    """Return nested containers with copies of their tensors."""
    if isinstance(value, Mapping):
        return {name: _clone(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_clone(part) for part in value)
    return value.clone() if isinstance(value, Tensor) else value
