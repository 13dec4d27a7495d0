"""State of a run that Lightning does not restore: elapsed time, metrics, and the end of the run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Timer, WeightAveraging
from torch import Tensor

from nas.benchmarks.accuracy_range import FILE as RANGES_FILE
from nas.callbacks.guards.cpu_budget import CpuBudget
from nas.callbacks.guards.stop_signal import stopped_by_signal
from nas.callbacks.recording.alphas import ALPHAS_FILE
from nas.callbacks.recording.history import HISTORY_FILE
from nas.searches.base import Search
from nas.utils.errors import NasError

KEY = "run"
"""Key of this state in a checkpoint."""
METRICS_FILE = "metrics.csv"
LOGS = (METRICS_FILE, HISTORY_FILE, ALPHAS_FILE, RANGES_FILE)
"""Files with lines for each epoch."""


class RunState(pl.Callback):
    """Make a resumed run equal to an uninterrupted one. It must be the first callback of the trainer.

    A checkpoint then also contains the elapsed time, the metrics, and the sums of the current epoch. It contains the
    number of lines of the logs, and the row of metrics that the trainer logs after it. A flag distinguishes a
    run that a callback has ended from an interrupted one. A run that its CPU budget has ended can be resumed with a
    larger one.

    An epoch that ends before its last batch, because of ``trainer.max_steps``, ``trainer.max_time`` or a callback, is
    not recorded: no checkpoint, no line of history, no step of the learning rate. A resumed run repeats it, or
    completes it after a checkpoint within it.

    Args:
        directory: run directory.
        options: options of the run as text, stored in the checkpoint.

    Raises:
        NasError: if a checkpoint of another number of processes is loaded, or one from which the search cannot resume.
    """

    def __init__(self, directory: str | Path, options: str = "") -> None:
        self.directory = Path(directory)
        self.options = options
        self.trained = False
        """Flag of a training loop that has run; False if a checkpoint leaves nothing to do."""
        self._start = time.perf_counter()
        self._earlier = 0.0
        self._loaded: dict[str, Any] = {}
        self._sums: dict[str, list[list[float]]] = {}
        self._max_steps: int | None = None

    def seconds(self) -> float:
        """Return the duration of the run: up to the loaded checkpoint, and since this callback was created."""
        return self._earlier + time.perf_counter() - self._start

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        progress: Any = trainer.fit_loop.epoch_progress.current
        within = progress.processed < progress.ready
        limited = trainer_limit(trainer) is not None or _is_over_budget(trainer) or stopped_by_signal(trainer)
        ended = trainer.should_stop and not has_ended(pl_module) and not limited
        checkpoint[KEY] = {
            "options": self.options,
            "processes": trainer.world_size,
            "seconds": self.seconds(),
            "epochs": trainer.max_epochs,
            "ended": ended and not within,
            "metrics": {name: float(value) for name, value in trainer.callback_metrics.items()},
            "sums": _sums(trainer) if within else {},
            "row": _next_row(trainer, within),
            "lines": {name: _count_lines(self.directory / name) for name in LOGS},
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
        within = epochs["processed"] < epochs["ready"]
        if within and isinstance(pl_module, Search) and not pl_module.resumes_within_epochs:
            raise NasError(
                f"ckpt_path: the checkpoint was written within epoch {epochs['ready']}, and this search resumes from "
                "complete epochs only. Give the last.ckpt of the run."
            )
        self._loaded = checkpoint.get(KEY, {})
        self._earlier = self._loaded.get("seconds", 0.0)
        # With a limit of steps, Lightning would resume after a complete epoch with an epoch without steps.
        self._max_steps, trainer.fit_loop.epoch_loop.max_steps = trainer.max_steps, -1
        self._sums = dict(self._loaded.get("sums", {}))
        saved, now = self._loaded.get("processes", trainer.world_size), trainer.world_size
        if saved != now:
            raise NasError(
                f"trainer.devices: the run of ckpt_path has {saved} process(es), this one {now}; their batches differ. "
                "Resume with the same number of devices."
            )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # the order of the metrics is the order of their columns in history.jsonl
        trainer.callback_metrics.update(
            {name: torch.tensor(value, dtype=torch.float64) for name, value in self._loaded.get("metrics", {}).items()}
        )
        ended = self._loaded.get("ended", False) and self._loaded["epochs"] == trainer.max_epochs
        if self._loaded and (ended or has_ended(pl_module)):
            trainer.should_stop = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.trained = True
        self._restore_max_steps(trainer)

    def _restore_max_steps(self, trainer: pl.Trainer) -> None:
        if self._max_steps is not None:
            trainer.fit_loop.epoch_loop.max_steps = self._max_steps

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._sums:
            return
        # once, after the first step of an epoch that is resumed: its metrics exist only now
        for metric in trainer.fit_loop.epoch_loop._results.result_metrics:
            if metric.meta.name in self._sums:
                value, count = self._sums.pop(metric.meta.name)[trainer.global_rank]
                metric.value = metric.value + torch.as_tensor(value).to(metric.value)
                metric.cumulated_batch_size = metric.cumulated_batch_size + int(count)
        for name, rows in self._sums.items():  # logged at the beginning of the epoch alone
            value, count = rows[trainer.global_rank]
            pl_module.log(name, value / count, on_step=False, on_epoch=True, batch_size=1)
        self._sums = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        complete = trainer.is_last_batch or batches >= trainer.num_training_batches
        if not complete and not has_ended(pl_module):
            raise StopIteration  # ends the training loop before any other callback records this epoch

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.trained:
            return
        self._restore_max_steps(trainer)
        progress: Any = trainer.fit_loop.epoch_progress.current
        progress.completed = progress.processed  # as at the end of the training loop
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, WeightAveraging):
                callback.on_train_end(trainer, pl_module)


def has_ended(module: pl.LightningModule) -> bool:
    """Return whether a search has reached its own end, which may be before the last epoch."""
    return isinstance(module, Search) and module.has_ended()


def _is_over_budget(trainer: pl.Trainer) -> bool:
    return any(isinstance(c, CpuBudget) and c.ended for c in trainer.callbacks)  # type: ignore[attr-defined]


def trainer_limit(trainer: pl.Trainer) -> str | None:
    """Return the limit ``trainer.max_steps`` or ``trainer.max_time`` that has been reached, None if none has."""
    if 0 <= trainer.max_steps <= trainer.global_step:
        return "trainer.max_steps"
    timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
    if any((timer.time_remaining() or 0.0) <= 0 for timer in timers if timer.time_remaining() is not None):
        return "trainer.max_time"
    return None


def unfinished(trainer: pl.Trainer, module: pl.LightningModule) -> str | None:
    """Return the limit that has stopped a trainer before its last epoch, None if the run is complete."""
    if has_ended(module) or trainer.current_epoch >= (trainer.max_epochs or 0):
        return None
    return trainer_limit(trainer)


def _sums(trainer: pl.Trainer) -> dict[str, list[list[float]]]:
    """Return sum and weight of each mean over the current epoch, for each rank."""
    sums = {}
    for metric in trainer.fit_loop.epoch_loop._results.result_metrics:
        if metric.meta.on_epoch and metric.is_tensor and metric.meta.is_mean_reduction and not metric.has_reset:
            pair = torch.stack([metric.value.double(), metric.cumulated_batch_size.double()])
            gathered = trainer.strategy.all_gather(pair)
            assert isinstance(gathered, Tensor)
            sums[metric.meta.name] = gathered.view(-1, 2).tolist()
    return sums


def _next_row(trainer: pl.Trainer, within: bool) -> dict[str, float]:
    """Return the metrics that the trainer logs right after a checkpoint, empty if there are none."""
    connector = trainer._logger_connector
    if within and not connector.should_update_logs:
        return {}
    row = {name: float(value) for name, value in connector.metrics["log"].items()}
    step = trainer.fit_loop.epoch_loop._batches_that_stepped - (0 if within else 1)
    return {**row, "epoch": trainer.current_epoch, "step": step} if row else {}


def _count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
