"""Estimate of the remaining time of a run."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only

from nas.searches.base import Search

log = logging.getLogger(__name__)
PATIENCE = 30.0  # seconds of a first epoch after which the expected time is logged


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

    def passed(self) -> float:
        """Return the seconds from the start to the last update."""
        return self._now[0] - self._start[0]

    def seconds(self) -> float | None:
        """Return the estimated remaining seconds, None before the first step."""
        done = self._now[1] - self._start[1]
        return self.passed() / done * max(self._epochs - self._now[1], 0.0) if done > 0 else None


class ExpectedTime(pl.Callback):
    """Log the expected remaining time once, if the first epoch takes longer than ``PATIENCE`` seconds.

    The first step is not part of the estimate, because it may contain a compilation.
    """

    def __init__(self) -> None:
        self._left = TimeLeft()
        self._steps = 0
        self._logged = False

    @rank_zero_only
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._logged or not trainer.max_epochs or trainer.max_epochs < 0:
            return
        self._steps += 1
        if self._steps == 1:
            self._left.start(progress_of(trainer, pl_module, batch_idx + 1)[0])
            return
        self._left.update(*progress_of(trainer, pl_module, batch_idx + 1))
        seconds = self._left.seconds()
        if seconds is not None and self._left.passed() > PATIENCE:
            self._logged = True
            log.info("time left      about %s, from the first %d steps", format_time(seconds), self._steps)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._logged = True  # the line of the epoch has a better estimate


def format_time(seconds: float) -> str:
    """Return a time as ``1:05:09`` or ``5:09``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def progress_of(trainer: pl.Trainer, module: pl.LightningModule, batches: int) -> tuple[float, int]:
    """Return the progress of a run in epochs, with ``batches`` of the current epoch, and the expected epochs."""
    total = trainer.num_training_batches
    part = batches / total if isinstance(total, int) and total > 0 else 0.0
    return expected_progress(module, trainer.current_epoch + part, trainer.max_epochs)


def expected_progress(module: pl.LightningModule, finished: float, epochs: int | None) -> tuple[float, int]:
    """Return ``Search.progress``; for other modules the given numbers."""
    number = epochs or 0
    return module.progress(finished, number) if isinstance(module, Search) else (finished, number)
