"""Stop of a run by SIGUSR1, which SLURM sends some time before it ends a job."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist

from nas.callbacks.recording.checkpoint import Checkpoint
from nas.searches.base import Search


class StopRequest:
    """Request by SIGUSR1 to end runs. Searches with common steps share it and end after the same step.

    Attributes:
        received: time of the first signal, None before it.
    """

    def __init__(self) -> None:
        self.received: float | None = None
        self._step: tuple[int, int] | None = None
        self._state = False, False

    def receive(self, number: int, frame: Any) -> None:
        """Handle the signal."""
        if self.received is None:
            self.received = time.monotonic()

    def state(self, step: tuple[int, int], grace: float) -> tuple[bool, bool]:
        """Return whether the signal has arrived, and whether more than ``grace`` seconds ago.

        Consecutive calls for the same step (epoch, batch) return the same values.
        """
        if step != self._step:
            now = time.monotonic()
            self._step = step
            self._state = self.received is not None, self.received is not None and now - self.received >= grace
        return self._state


@contextmanager
def shared_request() -> Iterator[StopRequest]:
    """Handle SIGUSR1 by one request for all runs within the block, instead of one per run."""
    request, main = StopRequest(), threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "SIGUSR1"):
        yield request
        return
    before = signal.signal(signal.SIGUSR1, request.receive)
    try:
        yield request
    finally:
        signal.signal(signal.SIGUSR1, before)


def installed_request() -> StopRequest | None:
    """Return the request of ``shared_request`` that handles the signal now, None if there is none."""
    handler = signal.getsignal(signal.SIGUSR1) if hasattr(signal, "SIGUSR1") else None
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, StopRequest) else None


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
        self.is_shared = False
        """Flag of a run whose request also ends other runs (``shared_request``)."""
        self._request = StopRequest()
        self._agreed = False, False
        self._before: Any = None
        self._group: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        shared = installed_request()
        self.is_shared = shared is not None
        self._request = shared or StopRequest()
        # now, because Lightning restores the handlers that it finds before this hook
        if shared is None and threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGUSR1"):
            self._before = signal.signal(signal.SIGUSR1, self._request.receive)
        if trainer.world_size > 1 and dist.get_backend() != "gloo":
            self._group = dist.new_group(backend="gloo")  # so that no step waits for the device

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # here alone: in later hooks the first rank reduces metrics that other ranks reduce at another time
        self._agreed = self._state_of_all(trainer, batch_idx)

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

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGUSR1, self._before)
            self._before = None

    def _state_of_all(self, trainer: pl.Trainer, batch_idx: int) -> tuple[bool, bool]:
        """Return whether any rank has received the signal, and more than ``grace`` seconds ago; equal on all ranks."""
        received, overdue = self._request.state((trainer.current_epoch, batch_idx), self.grace)
        if trainer.world_size == 1:
            return received, overdue
        state = torch.tensor([float(received), float(overdue)])
        dist.all_reduce(state, dist.ReduceOp.MAX, group=self._group)
        return bool(state[0]), bool(state[1])

    def _end(self, trainer: pl.Trainer) -> None:
        self.ended = True
        trainer.fit_loop.min_epochs, trainer.fit_loop.epoch_loop.min_steps = 0, None  # otherwise it trains up to them
        trainer.should_stop = True


def shares_request(trainer: pl.Trainer) -> bool:
    """Return whether the run of a trainer is one of several that a signal ends."""
    return any(isinstance(c, StopOnSignal) and c.is_shared for c in trainer.callbacks)  # type: ignore[attr-defined]


def stopped_by_signal(trainer: pl.Trainer) -> bool:
    """Return whether SIGUSR1 has ended the run of a trainer."""
    return any(isinstance(c, StopOnSignal) and c.ended for c in trainer.callbacks)  # type: ignore[attr-defined]
