"""Stop of a run by SIGUSR1, which SLURM sends some time before it ends a job."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist

from nas.callbacks.recording.checkpoint import Checkpoint
from nas.searches.base import Search


class StopOnSignal(pl.Callback):
    """End a run with a checkpoint from which it resumes exactly, when SIGUSR1 arrives.

    A training and a black-box search write a checkpoint after the current step and end. Other searches resume from
    complete epochs only. They complete the epoch if that takes less than ``grace`` seconds; otherwise they end within
    it, and a resumed run repeats it. All ranks end after the same step, whichever of them receives the signal.
    """

    grace = 60.0
    """Seconds that the rest of an epoch may take."""

    def __init__(self) -> None:
        self.ended = False
        """Flag of a run that the signal has ended."""
        self._received: float | None = None
        self._agreed = False, False
        self._before: Any = None
        self._group: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # now, because Lightning restores the handlers that it finds before this hook
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGUSR1"):
            self._before = signal.signal(signal.SIGUSR1, self._receive)
        if trainer.world_size > 1 and dist.get_backend() != "gloo":
            self._group = dist.new_group(backend="gloo")  # so that no step waits for the device

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # here alone: in later hooks the first rank reduces metrics that other ranks reduce at another time
        self._agreed = self._state_of_all(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        received, overdue = self._agreed
        if not received or trainer.is_last_batch:
            return
        if isinstance(pl_module, Search) and not pl_module.resumes_within_epochs:
            if overdue:
                self._end(trainer)
            return
        savers = [c for c in trainer.checkpoint_callbacks if isinstance(c, Checkpoint)]
        if not savers or savers[0].request(trainer, batch_idx):
            self._end(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._agreed[0]:
            self._end(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()

    def _receive(self, number: int, frame: Any) -> None:
        self._received = time.monotonic()

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGUSR1, self._before)
            self._before = None

    def _state_of_all(self, trainer: pl.Trainer) -> tuple[bool, bool]:
        """Return whether any rank has received the signal, and more than ``grace`` seconds ago; equal on all ranks."""
        received = self._received is not None
        overdue = self._received is not None and time.monotonic() - self._received >= self.grace
        if trainer.world_size == 1:
            return received, overdue
        state = torch.tensor([float(received), float(overdue)])
        dist.all_reduce(state, dist.ReduceOp.MAX, group=self._group)
        return bool(state[0]), bool(state[1])

    def _end(self, trainer: pl.Trainer) -> None:
        self.ended = True
        trainer.fit_loop.min_epochs, trainer.fit_loop.epoch_loop.min_steps = 0, None  # otherwise it trains up to them
        trainer.should_stop = True


def stopped_by_signal(trainer: pl.Trainer) -> bool:
    """Return whether SIGUSR1 has ended the run of a trainer."""
    return any(isinstance(c, StopOnSignal) and c.ended for c in trainer.callbacks)  # type: ignore[attr-defined]
