"""Base class of callbacks that append lines to a file after each epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import pytorch_lightning as pl

from nas.utils.atomic_write import write_atomically


class EpochLines(pl.Callback, ABC):
    """Keep a file free of the lines of epochs that a resumed run repeats.

    Args:
        path: the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @abstractmethod
    def content_before(self, epoch: int) -> str:
        """Return the content of the existing file without incomplete lines and without those from ``epoch`` on."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.forget(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.forget(trainer)  # a callback may have returned to an earlier epoch

    def forget(self, trainer: pl.Trainer) -> None:
        """Remove the lines of the current and of later epochs, and an incomplete last line."""
        if not trainer.is_global_zero or not self.path.exists():
            return
        content = self.content_before(trainer.current_epoch)
        if content.encode() != self.path.read_bytes():
            write_atomically(self.path, content)
