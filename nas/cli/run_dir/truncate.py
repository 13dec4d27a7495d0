"""Truncation of the logs of a run on resume."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig

from nas.benchmarks.accuracy_range import FILE as RANGES_FILE
from nas.benchmarks.accuracy_range import read_ranges
from nas.callbacks.recording.alphas import ALPHAS_FILE, read_alphas
from nas.callbacks.recording.history import HISTORY_FILE, read_history
from nas.callbacks.recording.run_state import KEY, METRICS_FILE
from nas.cli.run_dir.layout import remove_failure, run_directory
from nas.cli.run_dir.loggers import format_rows
from nas.cli.run_dir.record import save_record
from nas.utils.atomic_write import remove_temporary_files, write_atomically
from nas.utils.errors import NasError
from nas.utils.json_lines import RESTORE, read_log
from nas.utils.user_path import real_path

Checkpoint = Mapping[str, Any]
READERS: Mapping[str, Callable[[Path, int], list[int]]] = {
    HISTORY_FILE: lambda path, needed: [line["epoch"] for line in read_history(path, needed)],
    ALPHAS_FILE: lambda path, needed: [line["epoch"] for line in read_alphas(path, needed)],
    RANGES_FILE: lambda path, needed: [-1, *(line.epoch for line in read_ranges(path, needed))],  # a header first
}
"""Functions that return the epoch of each line of a log, and check that it has a number of lines."""


class RewriteOnResume(pl.Callback):
    """Bring the files of a resumed run in line with its checkpoint, after the checkpoint has been loaded.

    Lines of its logs that the run will repeat are removed. The row of metrics.csv that follows the
    checkpoint is added if a kill has prevented it. Hydra's record of the run is replaced by that of the resumed one,
    and the error of the earlier attempt and temporary files of killed processes are removed.

    Args:
        directory: run directory of the resumed run.
        checkpoint: content of the checkpoint.
        cfg: configuration of the resumed run.
        in_place: whether ``directory`` is the directory that the checkpoint was written to.

    Raises:
        NasError: if a line of the files is damaged or missing; nothing has been changed then.
    """

    def __init__(self, directory: Path, checkpoint: Checkpoint, cfg: DictConfig, in_place: bool) -> None:
        self.directory = directory
        self._cfg = cfg
        self._contents = truncated(directory, checkpoint) if in_place else {}
        self._applied = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.apply()

    def apply(self) -> None:
        """Rewrite the files, once. A run with nothing left to train has no ``on_train_start`` and calls this itself."""
        if self._applied:
            return
        self._applied = True
        remove_failure(self.directory)
        for folder in (self.directory, self.directory / "checkpoints", self.directory / ".hydra"):
            remove_temporary_files(folder)
        for path, content in self._contents.items():
            if content:
                write_atomically(path, content)
            else:
                path.unlink(missing_ok=True)
        if (self.directory / ".hydra").is_dir():
            save_record(self.directory / ".hydra", self._cfg)


def rewrite_on_resume(cfg: DictConfig, path: Path, checkpoint: Checkpoint) -> RewriteOnResume:
    """Return the callback for a run that is resumed from the checkpoint in the file ``path``.

    Raises:
        NasError: if the checkpoint has more epochs than the run, or a file of the run is damaged.
    """
    epochs = complete_epochs(checkpoint)
    if epochs > cfg.trainer.max_epochs:
        raise NasError(
            f"epochs={cfg.trainer.max_epochs}: the checkpoint has {epochs} complete epochs. Set epochs={epochs} or "
            "more."
        )
    output, source = Path(cfg.paths.output), run_directory(path) or path.parent.parent
    in_place = real_path(source) == real_path(output)
    return RewriteOnResume(output, checkpoint, cfg, in_place)


def complete_epochs(checkpoint: Checkpoint) -> int:
    """Return the number of complete epochs of a checkpoint; its "epoch" is the same within an epoch and at its end."""
    if "loops" not in checkpoint:
        return int(checkpoint["epoch"]) + 1
    return int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])


def truncated(directory: Path, checkpoint: Checkpoint) -> dict[Path, str]:
    """Return the content that the logs had when the checkpoint was written, "" for no file.

    Of a log that the checkpoint does not count, because it is of an earlier version, the complete epochs are kept.

    Raises:
        NasError: if a line is damaged, or an earlier line is missing.
    """
    state = checkpoint.get(KEY, {})  # absent in a checkpoint of version 0.1.0
    lines, epochs = state.get("lines", {}), complete_epochs(checkpoint)
    texts = {}
    for name, read_epochs in READERS.items():
        path = directory / name
        if path.exists():
            read = read_epochs(path, lines.get(name, 0))
            # no lines: the log may be one that a command wrote after the checkpoint
            count = lines.get(name) or sum(epoch < epochs for epoch in read)
            texts[path] = b"".join(line + b"\n" for line in path.read_bytes().split(b"\n")[:count]).decode()
    metrics = directory / METRICS_FILE
    if metrics.exists() or state.get("row"):
        texts[metrics] = _truncated_metrics(metrics, lines.get(METRICS_FILE), epochs, state.get("row", {}))
    return texts


def _truncated_metrics(path: Path, count: int | None, epochs: int, row: Mapping[str, float]) -> str:
    """Return the first ``count`` lines of metrics.csv, and ``row``. Without a count, keep the first epochs."""
    names: list[str] = []
    table = read_log(path, partial(_decode_row, names), RESTORE, count or 0)[1:]
    if count is None:
        rows = [line for line in table if not line["epoch"] or float(line["epoch"]) < epochs]
    else:
        rows = table[: max(count - 1, 0)]
    if row:
        names = sorted({*names, *row})
        rows.append({name: str(value) for name, value in row.items()})
    return format_rows(names, rows) if rows else ""


def _decode_row(names: list[str], line: str) -> dict[str, str]:
    """Return a row of metrics.csv by column; the first line sets ``names``. Raises ValueError for another line."""
    if not line.endswith("\r"):  # the end of a line of CSV, which shows a number that was cut
        raise ValueError("the line is cut")
    cells = next(csv.reader([line[:-1]]), [])
    if not names:
        if "step" not in cells or len(set(cells)) < len(cells):
            raise ValueError("not a header")
        names += cells
        return {}
    row = dict(zip(names, cells, strict=True))
    int(row["step"])
    for cell in cells:
        float(cell or 0)
    if float(row.get("epoch") or 0) % 1:
        raise ValueError("not a number of epochs")
    return row
