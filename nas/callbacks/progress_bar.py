"""Progress bar of a run on a terminal."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from rich.progress import ProgressColumn, Task
from rich.text import Text


class RunProgressBar(RichProgressBar):
    """Lightning's progress bar with epochs as in the log, ``epoch 1/30``, and the remaining time of the run."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=4)
        self.time_left = TimeLeft()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self.time_left.start(_progress(trainer, 0))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.time_left.update(_progress(trainer, batch_idx + 1), trainer.max_epochs or 0)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Return Lightning's columns and the remaining time."""
        return [*super().configure_columns(trainer), _TimeLeftColumn(self.time_left)]

    def _get_train_description(self, current_epoch: int) -> str:
        description = f"epoch {current_epoch + 1}/{self.trainer.max_epochs}"
        # padding as in Lightning, so that the bars of training and validation begin at the same place
        return description.ljust(len(self.validation_description))


class TimeLeft:
    """Estimate of the remaining time of a run, from its progress since the start of this process."""

    def __init__(self) -> None:
        self._start = self._now = (0.0, 0.0)
        self._epochs = 0.0

    def start(self, progress: float) -> None:
        """Start from a progress in epochs, which is above 0 for a resumed run."""
        self._start = self._now = (time.monotonic(), progress)

    def update(self, progress: float, epochs: float) -> None:
        """Set the progress in epochs of a run with ``epochs`` epochs."""
        self._now, self._epochs = (time.monotonic(), progress), epochs

    def seconds(self) -> float | None:
        """Return the estimated remaining seconds, None before the first step."""
        passed, done = self._now[0] - self._start[0], self._now[1] - self._start[1]
        return passed / done * max(self._epochs - self._now[1], 0.0) if done > 0 else None


class _TimeLeftColumn(ProgressColumn):
    """Column with the remaining time of the run, next to the bar of the training."""

    def __init__(self, time_left: TimeLeft) -> None:
        super().__init__()
        self._time_left = time_left

    def render(self, task: Task) -> Text:
        seconds = self._time_left.seconds()
        if seconds is None or not task.description.startswith("epoch"):
            return Text("")
        return Text(f"run: {format_time(seconds)} left", style="dim")


def format_time(seconds: float) -> str:
    """Return a time as ``1:05:09`` or ``5:09``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _progress(trainer: pl.Trainer, batches: int) -> float:
    """Return the finished epochs, with ``batches`` of the current one."""
    total = trainer.num_training_batches
    return trainer.current_epoch + (batches / total if isinstance(total, int) and total > 0 else 0.0)
