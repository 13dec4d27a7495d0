"""The files of a run that goes on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from nas.cli.run_dir.checkpoints import read_checkpoint
from nas.utils.io import write_atomically


class Resumed(pl.Callback):
    """Once the checkpoint has been taken up, and not before: brings the files of its run in line with it.

    What history.jsonl and metrics.csv tell of later epochs is dropped, since those come again, and Hydra's record of
    the run becomes that of the overrides it goes on with.
    """

    def __init__(self, directory: Path, epochs: int, cfg: DictConfig) -> None:
        self.directory = directory
        self.epochs = epochs
        self._cfg = cfg

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            rewind(self.directory, self.epochs)
            if (self.directory / ".hydra").is_dir():
                save_record(self.directory / ".hydra", self._cfg)


def resumed(cfg: DictConfig, checkpoint: Path | None) -> list[pl.Callback]:
    """The callback that a run needs which goes on from ``checkpoint``; none where it begins."""
    if checkpoint is None:
        return []
    return [Resumed(Path(cfg.paths.output), whole_epochs(read_checkpoint(checkpoint)), cfg)]


def whole_epochs(checkpoint: Mapping[str, Any]) -> int:
    """How many epochs had ended when a checkpoint was taken: its "epoch" is the same within an epoch and at its end."""
    if "loops" not in checkpoint:
        return int(checkpoint["epoch"]) + 1
    return int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])


def rewind(directory: Path, epochs: int) -> None:
    """Drops from history.jsonl and metrics.csv what tells of epochs after the first ``epochs``."""
    history = directory / "history.jsonl"
    if history.exists():
        kept = [line for line in history.read_text().splitlines() if _epoch_of(line) < epochs]
        write_atomically(history, "".join(line + "\n" for line in kept))
    metrics = directory / "metrics.csv"
    if metrics.exists():
        with metrics.open(newline="") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if row.get("epoch") and float(row["epoch"]) < epochs]
            write_atomically(metrics, _table(reader.fieldnames or [], rows))


def save_record(folder: Path, cfg: DictConfig) -> None:
    """Writes Hydra's record of this job anew: its configuration, its choices and its overrides as they are now."""
    hydra = HydraConfig.get()
    record: dict[str, Any] = {"config": cfg, "hydra": {"hydra": hydra}, "overrides": hydra.overrides.task}
    for name, value in record.items():
        write_atomically(folder / f"{name}.yaml", OmegaConf.to_yaml(value))


def _epoch_of(line: str) -> float:
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _table(names: Sequence[str], rows: list[dict[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=names)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
