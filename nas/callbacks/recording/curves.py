"""Curves of a run: metrics of steps, and metrics of epochs that Lightning does not log."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from nas.architecture.cell import Genotype
from nas.searches.base import Search
from nas.training.base import BaseTraining
from nas.utils.memory import peak_memory, used_memory
from nas.utils.ranges import COUNT, COUNT_OR_ZERO, check_ranges

LEARNING_RATES = {Search: ("step/weights_lr", "step/arch_lr"), BaseTraining: ("step/learning_rate",)}
GIGA = 1e9


class _Step(NamedTuple):
    """Metrics of a step: scalars on the device, and numbers on the host."""

    step: int
    device: dict[str, Tensor]
    host: dict[str, float]


@check_ranges(every=COUNT_OR_ZERO, transfer=COUNT)
class Curves(pl.Callback):
    """Log the metrics of steps, and metrics of epochs that Lightning does not log, to all loggers.

    Losses and accuracies of steps stay on the device. They are moved together every ``transfer`` steps and at the end
    of an epoch, so that no step waits for the device. The values are from the first rank.

    Steps: ``step/train_loss``, ``step/train_accuracy``, ``step/arch_loss``, ``step/arch_accuracy``, learning rates,
    ``time/step_ms`` with the loading of the batch, and ``memory/used_gb`` (allocated on a GPU, else resident).
    Epochs: entropy, learning rates and temperature of a search, ``ops/NAME`` with the number of links of the genotype
    that have an op, ``time/epoch_s`` and ``memory/peak_gb``. With several cell types there is also ``ops_CELL/NAME``.

    Args:
        every: steps whose mean is one point of a curve; 0: no curves of steps.
        transfer: steps between two transfers from the device.
    """

    def __init__(self, every: int = 5, transfer: int = 50) -> None:
        self.every = every
        self.transfer = transfer
        self._pending: list[_Step] = []
        self._rates: dict[str, float] = {}
        self._clock = self._epoch_clock = 0.0
        self._timed = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the steps that are not logged yet, for a checkpoint within an epoch; empty at the end of an epoch."""
        return {"pending": _on_host(self._pending)} if self._pending else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pending = state_dict.get("pending", []) if self.every else []
        self._pending = [_Step(int(step), {}, dict(values)) for step, values in pending]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch_clock = time.perf_counter()  # a run resumed within an epoch has no on_train_epoch_start

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch_clock, self._timed = time.perf_counter(), 0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if isinstance(pl_module, Search | BaseTraining):
            pl_module.step_values.clear()  # such as the values of controller steps at the end of an epoch
        self._rates = _learning_rates(trainer, pl_module)  # the scheduler steps before on_train_batch_end
        if not self._timed:
            self._clock = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not (self.every and trainer.is_global_zero and isinstance(pl_module, Search | BaseTraining)):
            return
        self._timed += 1
        if pl_module.step_values:
            step = trainer.fit_loop.epoch_loop._batches_that_stepped  # Lightning's own rows count steps in the same way
            self._pending.append(_Step(step, dict(pl_module.step_values), self._rates))
        if trainer.is_last_batch or len(self._pending) >= max(self.every, self.transfer):
            self._log_steps(trainer, pl_module, trainer.is_last_batch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero or not trainer.loggers or not isinstance(pl_module, Search | BaseTraining):
            return
        self._log_steps(trainer, pl_module, last=True)  # for an epoch that ended before its last batch
        row = {
            **(_search_metrics(pl_module, trainer.callback_metrics) if isinstance(pl_module, Search) else {}),
            "time/epoch_s": time.perf_counter() - self._epoch_clock,
            "memory/peak_gb": peak_memory(pl_module.device) / GIGA,
        }
        log_rows(trainer, [(max(trainer.fit_loop.epoch_loop._batches_that_stepped - 1, 0), row)])

    def _log_steps(self, trainer: pl.Trainer, module: pl.LightningModule, last: bool) -> None:
        """Log the complete groups of ``every`` steps; with ``last``, all steps."""
        pending = self._pending
        complete = len(pending) if last else len(pending) // self.every * self.every
        self._pending = pending[complete:]
        if not trainer.loggers or not complete:
            return
        rows = _means(_on_host(pending[:complete]), self.every)
        now = time.perf_counter()
        rows[-1][1]["time/step_ms"] = 1000 * (now - self._clock) / max(self._timed, 1)
        rows[-1][1]["memory/used_gb"] = used_memory(module.device) / GIGA
        self._clock, self._timed = now, 0
        log_rows(trainer, rows)


def log_rows(trainer: pl.Trainer, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    """Pass rows (step, metrics) of the current epoch to all loggers."""
    for logger in trainer.loggers:
        for step, metrics in rows:
            logger.log_metrics({**metrics, "epoch": trainer.current_epoch}, step)
        logger.save()


def op_metrics(search: Search, genotype: Genotype) -> dict[str, float]:
    """Return the number of links with each op of the space, over all cells and, if there are several, per cell type."""
    counts = {
        name: {op: float(sum(link.op == op for link in cell.links)) for op in search.space.cells[name].ops}
        for name, cell in genotype.cells.items()
        if name in search.space.cells
    }
    ops = dict.fromkeys(op for numbers in counts.values() for op in numbers)
    metrics = {f"ops/{op}": sum(numbers.get(op, 0.0) for numbers in counts.values()) for op in ops}
    if len(counts) > 1:
        metrics |= {f"ops_{name}/{op}": number for name, numbers in counts.items() for op, number in numbers.items()}
    return metrics


def _search_metrics(search: Search, logged: Mapping[str, Any]) -> dict[str, float]:
    """Return the diagnostics of a search that are not logged yet, and its op counts."""
    diagnostics = {name: value for name, value in search.diagnostics().items() if name not in logged}
    return {**diagnostics, **op_metrics(search, search.genotype())}


def _learning_rates(trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, float]:
    names = next((names for kind, names in LEARNING_RATES.items() if isinstance(module, kind)), ())
    rates = [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers]
    return {name: rate for name, rate in zip(names, rates, strict=False) if isinstance(rate, float | int)}


def _on_host(steps: Sequence[_Step]) -> list[tuple[int, dict[str, float]]]:
    """Move the metrics of steps to the host, in a single transfer."""
    scalars = [value.detach().float() for step in steps for value in step.device.values()]
    values = iter(torch.stack(scalars).tolist() if scalars else ())
    moved = [{f"step/{name.replace('/', '_')}": next(values) for name in step.device} for step in steps]
    return [(step.step, {**device_values, **step.host}) for step, device_values in zip(steps, moved, strict=True)]


def _means(steps: Sequence[tuple[int, Mapping[str, float]]], every: int) -> list[tuple[int, dict[str, float]]]:
    """Return the means over groups of ``every`` steps, each with the last step of its group."""
    rows = []
    for first in range(0, len(steps), every):
        group = steps[first : first + every]
        names = dict.fromkeys(name for _, metrics in group for name in metrics)
        means = {name: fmean(metrics[name] for _, metrics in group if name in metrics) for name in names}
        rows.append((group[-1][0], means))
    return rows
