"""Loggers that write into a run directory."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from nas.utils.atomic_write import write_atomically


class _AppendingWriter(ExperimentWriter):
    """Writer that appends to an existing metrics file, and adds columns to it atomically."""

    def save(self) -> None:
        if self.metrics:
            self.metrics_keys = self._read_header()  # a resumed run rewrites the file after the logger is built
        super().save()

    def _read_header(self) -> list[str]:
        path = Path(self.metrics_file_path)
        if not path.exists():
            return []
        with path.open(newline="") as file:
            return list(next(csv.reader(file), []))

    def _check_log_dir_exists(self) -> None:
        """Keep an existing file."""

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        with path.open(newline="") as file:
            write_atomically(path, format_rows(fieldnames, list(csv.DictReader(file))))


def format_rows(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the text of a CSV file with a header."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=names)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


class MetricsFile(CSVLogger):
    """CSV logger that writes metrics.csv directly into the run directory; a resumed run appends to it."""

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir, name="", version="")

    @property
    def experiment(self) -> Any:
        if self._experiment is None:
            os.makedirs(self.log_dir, exist_ok=True)
            self._experiment = _AppendingWriter(log_dir=self.log_dir)
        return self._experiment

    def log_hyperparams(self, params: Any = None) -> None:
        """Write nothing: .hydra/config.yaml holds the hyperparameters."""
