"""Loggers that write into a run directory."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning.loggers import CSVLogger, MLFlowLogger
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
        super().__init__(str(Path(save_dir)), name="", version="")

    @property
    def experiment(self) -> Any:
        if self._experiment is None:
            os.makedirs(self.log_dir, exist_ok=True)
            self._experiment = _AppendingWriter(log_dir=self.log_dir)
        return self._experiment

    def log_hyperparams(self, params: Any = None) -> None:
        """Write nothing: .hydra/config.yaml holds the hyperparameters."""


class MlflowRun(MLFlowLogger):
    """MLflow logger that writes into a run directory, unless the address of a tracking store is given.

    Args:
        run_dir: run directory.
        tracking_uri: address of the tracking store; None: ``mlflow.db`` in the run directory, with its artifacts in
            ``mlartifacts`` beside it.
        experiment_name: experiment of the run.
        run_name: name of the run.
        tags: tags of the run.
        log_model: whether checkpoints are artifacts; "all": each of them.
        run_id: id of a run to continue; None: a new run.
    """

    def __init__(
        self,
        run_dir: str,
        tracking_uri: str | None = None,
        experiment_name: str = "nas",
        run_name: str | None = None,
        tags: dict[str, Any] | None = None,
        log_model: bool | Literal["all"] = False,
        run_id: str | None = None,
    ) -> None:
        folder, artifacts = Path(run_dir).absolute(), None
        if tracking_uri is None:
            tracking_uri, artifacts = f"sqlite:///{folder / 'mlflow.db'}", (folder / "mlartifacts").as_uri()
        super().__init__(
            experiment_name=experiment_name,
            run_name=run_name,
            tracking_uri=tracking_uri,
            tags=tags,
            log_model=log_model,
            artifact_location=artifacts,
            run_id=run_id,
        )
