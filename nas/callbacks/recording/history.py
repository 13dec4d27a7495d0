"""History of a run: genotype.json, history.jsonl and one printed line per epoch."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only

from nas.architecture.cell import op_counts
from nas.callbacks.recording.epoch_metrics import forget_metrics, limited_validation
from nas.callbacks.recording.time_left import TimeLeft, expected_progress, format_time, progress_of
from nas.searches.base import Search
from nas.spaces.genotype_file import GENOTYPE_FILE, save_genotype
from nas.spaces.notation import native_string
from nas.utils.atomic_write import to_json, write_atomically
from nas.utils.json_lines import decode_object, read_log

log = logging.getLogger(__name__)
HISTORY_FILE = "history.jsonl"
SKIP = "skip_connect"


class History(pl.Callback):
    """Write genotype.json (atomically) and one line of history.jsonl at the end of each epoch.

    A resumed search first removes the lines of the epochs that it repeats. It raises NasError for a damaged line.

    Args:
        directory: directory of the files.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._began = 0.0
        self._left = TimeLeft()

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._left.start(progress_of(trainer, pl_module, 0)[0])
        self.directory.mkdir(parents=True, exist_ok=True)
        history = self.directory / HISTORY_FILE
        lines = read_history(history)
        kept = [line for line in lines if line["epoch"] < trainer.current_epoch]
        if len(kept) < len(lines):
            write_atomically(history, "".join(to_json(line) + "\n" for line in kept))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._began = time.perf_counter()
        forget_metrics(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not isinstance(pl_module, Search):
            return
        genotype = pl_module.genotype()
        # sorted, because the order of the first use differs in a resumed run
        metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        line: dict[str, Any] = {
            "epoch": trainer.current_epoch,
            **metrics,
            **pl_module.diagnostics(),
            "genotype": native_string(genotype),
            "ops": op_counts(genotype),
            "seconds": round(time.perf_counter() - self._began, 3),
        }
        if trainer.is_global_zero:
            limits = pl_module.limits
            budget = None if limits is None else limits.report(genotype)
            save_genotype(genotype, self.directory / GENOTYPE_FILE, budget)
            with (self.directory / HISTORY_FILE).open("a") as file:
                file.write(to_json(line) + "\n")
            line["skips"] = line["ops"].get(SKIP, 0) if _has_skips(pl_module) else None
            _log_line(line, trainer, pl_module, self._left)


class EpochPrinter(pl.Callback):
    """Print one line per epoch."""

    def __init__(self) -> None:
        self._began = 0.0
        self._left = TimeLeft()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._left.start(progress_of(trainer, pl_module, 0)[0])
        self._began = time.perf_counter()  # a run resumed within an epoch has no on_train_epoch_start

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._began = time.perf_counter()
        forget_metrics(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
            line = {"epoch": trainer.current_epoch, **metrics, "seconds": time.perf_counter() - self._began}
            _log_line(line, trainer, pl_module, self._left)


def read_history(path: Path, needed: int = 0) -> list[dict[str, Any]]:
    """Return the lines of a history file, without a last line that a kill has cut off.

    Raises:
        NasError: if a line is damaged, or one of the first ``needed`` lines is missing.
    """
    return read_log(path, _decode_line, needed=needed)


def _decode_line(text: str) -> dict[str, Any]:
    line = decode_object(text)
    if type(line["epoch"]) is not int:
        raise ValueError("the epoch is not a number")
    return line


def _has_skips(search: Search) -> bool:
    return any(SKIP in cell.ops for cell in search.space.cells.values())


def _metric_of(module: pl.LightningModule) -> Any:
    """Return the ``MetricInfo`` of a module that logs losses, None for a black-box search."""
    return getattr(getattr(module, "task", None), "metric", None)


def _log_line(line: dict[str, Any], trainer: pl.Trainer, module: pl.LightningModule, time_left: TimeLeft) -> None:
    """Log the metrics of an epoch. Narrow terminals show the first of the ``shorter`` texts of the record that fits."""
    done, epochs = expected_progress(module, line["epoch"] + 1, trainer.max_epochs)
    time_left.update(done, epochs)
    seconds = time_left.seconds()
    remaining = f"{format_time(seconds)} left" if seconds else ""
    validated, metric = limited_validation(trainer, module), _metric_of(module)
    texts = [_format_line(line, epochs, remaining, validated, detail, metric) for detail in (2, 1, 0)]
    genotype = line.get("genotype", "")
    log.info("%s", f"{texts[0]}  {genotype}".rstrip(), extra={"shorter": texts})


def _format_line(
    line: dict[str, Any],
    epochs: int,
    remaining: str,
    validated: int | None = None,
    detail: int = 2,
    metric: Any = None,
) -> str:
    """Format the metrics of an epoch; ``validated`` is the number of examples of a partial validation, else None.

    ``detail`` is 2 for all metrics, 1 for those without losses, 0 for rounded values without the time of the epoch.
    """
    digits = 1 if detail else 0
    parts = [f"epoch {line['epoch'] + 1}/{epochs}"]
    for half in ("train", "arch", "val", "test"):
        if f"{half}/loss" in line:
            partial = validated is not None and half in ("val", "test")
            examples = f" of {validated} {metric.examples}" if partial else ""
            loss = f"{line[f'{half}/loss']:.3f} " if detail == 2 else ""
            parts.append(f"{half} {loss}{metric.format(line[f'{half}/{metric.name}'], digits)}{examples}")
    if "queries" in line:
        length = f" after {line['fidelity']:.0f} epochs" if "fidelity" in line else ""
        best = f"best {line.get('best', math.nan):.4g}{length}"
        parts.append(f"{line['queries']:.0f} queries  {line['spent']:.0f} s spent  {best}")
    known = {split: line.get(f"benchmark/{split}") for split in ("valid", "test")}
    parts += [f"benchmark {split} {value:.2f}%" for split, value in known.items() if value is not None]
    if "entropy" in line:
        parts.append(f"entropy {line['entropy']:.2f}")
    if line.get("skips") is not None:
        parts.append(f"skips {line['skips']}")
    if detail or not remaining:
        parts.append(f"{line['seconds']:.1f} s")
    return "  ".join(part for part in (*parts, remaining) if part)
