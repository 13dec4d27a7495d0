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
    a complete epoch. A resumed search continues with the CPU time of its checkpoint.

    The learning rate and other schedules follow the number of epochs, not the budget. Choose the epochs such that they
    fit.

    Args:
        minutes: CPU minutes of one process; None: no limit, only measure.
    """

    def __init__(self, minutes: float | None = None) -> None:
        self.minutes = minutes
        self._earlier = 0.0
        self._longest = 0.0
        self._start = self._epoch_start = time.process_time()

    def seconds(self) -> float:
        """Return the CPU seconds of the search, those before a resume included."""
        return self._earlier + time.process_time() - self._start

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds(), "longest": self._longest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._earlier, self._longest = state_dict["seconds"], state_dict["longest"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = self._epoch_start = time.process_time()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        now = time.process_time()
        self._longest, self._epoch_start = max(self._longest, now - self._epoch_start), now
        done = trainer.current_epoch + 1
        last = done >= (trainer.max_epochs or 0) or (isinstance(pl_module, Search) and pl_module.has_ended())
        if self.minutes is None or last:
            return
        spent = self.seconds()
        over = spent + self._longest > 60 * self.minutes
        if trainer.strategy.reduce_boolean_decision(over, all=False):
            trainer.should_stop = True
            if trainer.is_global_zero:
                log.warning(
                    "cpu_minutes=%g ends the search after %d of %d epochs and %.1f CPU minutes; its schedules have not "
                    "reached their end",
                    *(self.minutes, done, trainer.max_epochs, spent / 60),
                )
