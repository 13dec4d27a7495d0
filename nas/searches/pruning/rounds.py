"""Rounds of a pruning search as epochs of a trainer: one step per candidate, and progress in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytorch_lightning as pl

from nas.data.kinds import DataSet, require_images

log = logging.getLogger(__name__)
LOG_INTERVAL = 30.0
"""Seconds between two log lines."""


class CandidateDataModule(pl.LightningDataModule):
    """A data module whose batches are empty placeholders, one per candidate of the current round.

    Args:
        data: the images that the search samples from.
        count: returns the number of candidates; called once per round.

    Raises:
        NasError: if the data set has no images.
    """

    def __init__(self, data: DataSet, count: Callable[[], int]) -> None:
        super().__init__()
        self.data = require_images(data, "a search by proxies")
        self.count = count

    def prepare_data(self) -> None:
        self.data.prepare_data()

    def setup(self, stage: str) -> None:
        self.data.setup(stage)

    def train_dataloader(self) -> range:
        return range(max(1, self.count()))


class RoundProgress:
    """Logs the progress and the remaining time of a round at most every 30 seconds.

    Args:
        round_number: number of the round, from 1.
        total: number of measurements of the round.
        now: clock in seconds.
    """

    def __init__(self, round_number: int, total: int, now: Callable[[], float] = time.monotonic) -> None:
        self.round = round_number
        self.total = total
        self._now = now
        self._start = self._last_line = now()
        self._done = 0

    def update(self, proxy: str) -> None:
        """Count a measurement of ``proxy``."""
        self._done += 1
        if self._now() - self._last_line >= LOG_INTERVAL and self._done < self.total:
            self._last_line = self._now()
            mean = (self._now() - self._start) / self._done  # wall-clock time, also with several workers
            remaining = format_duration(mean * (self.total - self._done))
            line = "round %d: %d of %d measurements (%s), %.3g s each, about %s remaining"
            log.info(line, self.round, self._done, self.total, proxy, mean, remaining)


def format_duration(seconds: float) -> str:
    """Format a duration in seconds, minutes or hours."""
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 100 else f"{minutes} min" if minutes < 100 else f"{seconds / 3600:.1f} h"
