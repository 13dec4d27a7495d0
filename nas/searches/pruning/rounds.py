"""How a search goes through its rounds: a step for each candidate, and how much time is left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytorch_lightning as pl

from nas.data.base import ImageData

log = logging.getLogger(__name__)
PAUSE = 30.0
"""Seconds between two lines."""


class Rounds(pl.LightningDataModule):
    """Batches that say nothing but that it is time for a candidate: ``count`` of them, asked anew for each round.

    ``data`` are the images that the search draws from.
    """

    def __init__(self, data: ImageData, count: Callable[[], int]) -> None:
        super().__init__()
        self.data = data
        self.count = count

    def prepare_data(self) -> None:
        self.data.prepare_data()

    def setup(self, stage: str) -> None:
        self.data.setup(stage)

    def train_dataloader(self) -> range:
        return range(max(1, self.count()))


class Pace:
    """Says now and then how long a round still takes: called with what was just measured and its seconds."""

    def __init__(self, round_number: int, total: int, now: Callable[[], float] = time.monotonic) -> None:
        self.round = round_number
        self.total = total
        self._now = now
        self._told = now()
        self._done = 0
        self._spent = 0.0

    def __call__(self, what: str, seconds: float) -> None:
        self._done += 1
        self._spent += seconds
        if self._now() - self._told >= PAUSE and self._done < self.total:
            self._told = self._now()
            each = self._spent / self._done
            left = duration(each * (self.total - self._done))
            say = "round %d: %d of %d measurements, now of %s, %.3g s each, %s left of this round"
            log.info(say, self.round, self._done, self.total, what, each, left)


def duration(seconds: float) -> str:
    """A time as one reads it: seconds, minutes or hours."""
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 100 else f"{minutes} min" if minutes < 100 else f"{seconds / 3600:.1f} h"
