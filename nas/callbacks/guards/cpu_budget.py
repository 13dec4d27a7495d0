"""Budget of a search in process CPU time."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytorch_lightning as pl

from nas.searches.base import Search
from nas.utils.ranges import POSITIVE, check_ranges

log = logging.getLogger(__name__)


@check_ranges(minutes=POSITIVE)
class CpuBudget(pl.Callback):
    """End a search before the first epoch that does not fit into a budget of process CPU time.

    CPU time is the time of all threads of the process, from the start of the fit: steps, validation, selection. Time
    in which the process waits for a processor does not count. An epoch is expected to take as long as the longest epoch
    so far, and the first one always runs. A search ends between epochs, so its genotype and its checkpoint are those of
    a complete epoch. A resumed search continues with the CPU time of its checkpoint. It trains no epoch if none fits.

    The learning rate and other schedules follow the number of epochs, not the budget. Choose the epochs such that they
    fit.

    Args:
        minutes: CPU minutes of one process; None: no limit, only measure.
        shared: whether the process executes other searches at the same time. The CPU time of the search is then
            unknown, also after a resume.
    """

    def __init__(self, minutes: float | None = None, shared: bool = False) -> None:
        self.minutes = minutes
        self.shared = shared
        self.ended = False
        """Flag of a search that this budget has ended."""
        self._done = 0  # complete epochs
        self._within = False  # whether an epoch has begun and is not complete
        self._earlier = 0.0
        self._longest = 0.0
        self._start = self._epoch_start = time.process_time()

    def seconds(self) -> float:
        """Return the CPU seconds of the search, those before a resume included."""
        return self._earlier + time.process_time() - self._start

    def state_dict(self) -> dict[str, Any]:
        counted = {"seconds": self.seconds(), "longest": self._longest}
        return {**counted, "shared": self.shared, "epochs": self._done, "within": self._within}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._done, self._within = state_dict["epochs"], state_dict["within"]
        self.shared = self.shared or state_dict["shared"]
        if not state_dict["shared"]:
            self._earlier, self._longest = state_dict["seconds"], state_dict["longest"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = self._epoch_start = time.process_time()
        # an epoch that has begun is completed
        if self._done and not self._within and not self._is_last(trainer, pl_module) and self._is_over(self._earlier):
            self._end(trainer, self._earlier)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._within = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        now = time.process_time()
        self._longest, self._epoch_start = max(self._longest, now - self._epoch_start), now
        self._done, self._within = trainer.current_epoch + 1, False
        if self.minutes is None or self._is_last(trainer, pl_module):
            return
        spent = self.seconds()
        if trainer.strategy.reduce_boolean_decision(self._is_over(spent), all=False):
            self._end(trainer, spent)

    def _is_last(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> bool:
        ended = isinstance(pl_module, Search) and pl_module.has_ended()
        return ended or self._done >= (trainer.max_epochs or 0)

    def _is_over(self, spent: float) -> bool:
        """Return whether another epoch does not fit after ``spent`` CPU seconds."""
        return self.minutes is not None and spent + self._longest > 60 * self.minutes

    def _end(self, trainer: pl.Trainer, spent: float) -> None:
        """End the search, unless another callback has ended it."""
        if trainer.should_stop:
            return
        trainer.should_stop = self.ended = True
        if trainer.is_global_zero:
            log.warning(
                "cpu_minutes=%g: the search ends after %d of %d epochs (%.1f CPU minutes), before its schedules are "
                "complete. Set fewer epochs.",
                *(self.minutes, self._done, trainer.max_epochs, spent / 60),
            )
