"""Truncation of history.jsonl and metrics.csv on resume."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig

from nas.cli.run_dir.checkpoints import read_checkpoint
from nas.cli.run_dir.record import save_record
from nas.utils.atomic_write import write_atomically


class RewriteOnResume(pl.Callback):
    """Bring the files of a resumed run in line with its checkpoint, after the checkpoint has been loaded.

    Lines of history.jsonl and metrics.csv for later epochs are removed, because these epochs are repeated. Hydra's
    record of the run is replaced by that of the resumed one.
    """

    def __init__(self, directory: Path, epochs: int, cfg: DictConfig) -> None:
        self.directory = directory
        self.epochs = epochs
        self._cfg = cfg

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            truncate(self.directory, self.epochs)
            if (self.directory / ".hydra").is_dir():
                save_record(self.directory / ".hydra", self._cfg)


def resume_callbacks(cfg: DictConfig, checkpoint: Path | None) -> list[pl.Callback]:
    """Return the callbacks that a run resumed from ``checkpoint`` needs, none for a new run."""
    if checkpoint is None:
        return []
    return [RewriteOnResume(Path(cfg.paths.output), complete_epochs(read_checkpoint(checkpoint)), cfg)]


def complete_epochs(checkpoint: Mapping[str, Any]) -> int:
    """Return the number of complete epochs of a checkpoint; its "epoch" is the same within an epoch and at its end."""
    if "loops" not in checkpoint:
        return int(checkpoint["epoch"]) + 1
    return int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])


def truncate(directory: Path, epochs: int) -> None:
    """Remove the lines of all but the first ``epochs`` epochs from history.jsonl and metrics.csv."""
    history = directory / "history.jsonl"
    if history.exists():
        kept = [line for line in history.read_text().splitlines() if _epoch_of(line) < epochs]
        write_atomically(history, "".join(line + "\n" for line in kept))
    metrics = directory / "metrics.csv"
    if metrics.exists():
        with metrics.open(newline="") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if row.get("epoch") and float(row["epoch"]) < epochs]
            write_atomically(metrics, _csv(reader.fieldnames or [], rows))


def _epoch_of(line: str) -> float:
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _csv(names: Sequence[str], rows: list[dict[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=names)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
