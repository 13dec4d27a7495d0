"""Progress bar of a run on a terminal."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from rich.console import Console
from rich.progress import ProgressColumn, Task
from rich.text import Text

from nas.callbacks.recording.time_left import TimeLeft, expected_progress, format_time, progress_of

WIDE = 110  # columns of a terminal for all parts of the bar
NARROW_COLUMNS = 3  # description, bar, batches


class RunProgressBar(RichProgressBar):
    """Lightning's progress bar with epochs as in the log, ``epoch 1/30``, and the remaining time of the run."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=4)
        self.time_left = TimeLeft()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self.time_left.start(progress_of(trainer, pl_module, 0)[0])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.time_left.update(*progress_of(trainer, pl_module, batch_idx + 1))
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Return Lightning's columns and the remaining time; in a narrow terminal only the first columns."""
        columns = super().configure_columns(trainer)
        return [*(columns if _is_wide() else columns[:NARROW_COLUMNS]), _TimeLeftColumn(self.time_left)]

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return the metrics shown after the bar, none in a narrow terminal."""
        return dict(super().get_metrics(trainer, pl_module)) if _is_wide() else {}

    def _get_train_description(self, current_epoch: int) -> str:
        _, epochs = expected_progress(self.trainer.lightning_module, current_epoch, self.trainer.max_epochs)
        description = f"epoch {current_epoch + 1}/{epochs}"
        # padding as in Lightning, so that the bars of training and validation begin at the same place
        return description.ljust(len(self.validation_description))


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


def _is_wide() -> bool:
    return Console().width >= WIDE
