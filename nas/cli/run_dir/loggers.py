"""Loggers that fit a run directory."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, WandbLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.utilities import rank_zero_only


class _Appending(ExperimentWriter):
    """Goes on with a metrics file that is already there."""

    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.exists():
            with path.open(newline="") as file:
                self.metrics_keys = list(next(csv.reader(file), []))


class MetricsFile(CSVLogger):
    """metrics.csv in the run directory itself; a resumed run appends to it."""

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir, name="", version="")

    @property
    def experiment(self) -> Any:
        if self._experiment is None:
            os.makedirs(self.log_dir, exist_ok=True)
            self._experiment = _Appending(log_dir=self.log_dir)
        return self._experiment

    def log_hyperparams(self, params: Any = None) -> None:
        """Nothing: .hydra/config.yaml holds them."""


def wandb_logger(
    project: str, save_dir: str, name: str, group: str, job_type: str, tags: list[str], offline: bool = True
) -> WandbLogger:
    """A W&B logger that never prompts: offline unless told otherwise, and silent on the terminal.

    Both by arguments, not by environment variables, which would outlive the run. ``setup`` is told too, since what
    W&B measures of itself goes by that one's mode: without it an offline run calls home.
    """
    import wandb

    mode: Any = "offline" if offline else os.environ.get("WANDB_MODE", "online")
    settings = wandb.Settings(mode=mode, silent=os.environ.get("WANDB_SILENT", "true") == "true")
    rank_zero_only(wandb.setup)(settings)
    return WandbLogger(
        project=project,
        save_dir=save_dir,
        name=name,
        group=group,
        job_type=job_type,
        tags=list(tags),
        mode=mode,
        settings=settings,
    )
