"""Duration of training steps."""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytorch_lightning as pl
import torch

from nas.utils.ranges import COUNT, COUNT_OR_ZERO, check_ranges


@check_ranges(warmup=COUNT_OR_ZERO, keep=COUNT)
class StepTimer(pl.Callback):
    """Time whole training steps, with CUDA events on a GPU.

    Args:
        warmup: first steps that are not counted.
        keep: largest number of steps that are counted.
    """

    def __init__(self, warmup: int = 3, keep: int = 1000) -> None:
        self.warmup = warmup
        self.keep = keep
        self.seconds: list[float] = []
        self._seen = 0
        self._start: Any = None
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": list(self.seconds)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds = list(state_dict["seconds"])

    def median(self) -> float | None:
        """Return the median step in seconds, None before the first counted step."""
        return statistics.median(self.seconds) if self.seconds else None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._start = self._now(pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        end = self._now(pl_module.device)
        self._seen += 1
        if self._seen <= self.warmup or len(self.seconds) + len(self._events) >= self.keep:
            return
        if isinstance(end, float):
            self.seconds.append(end - self._start)
        else:
            self._events.append((self._start, end))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._events:
            torch.cuda.synchronize()
            self.seconds += [start.elapsed_time(end) / 1000 for start, end in self._events]
            self._events.clear()

    @staticmethod
    def _now(device: torch.device) -> Any:
        if device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event
