"""Op scores of each epoch of a search: alphas.jsonl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from nas.searches.gradient import GradientSearch
from nas.utils.atomic_write import to_json, write_atomically
from nas.utils.json_lines import decode_object, read_log

ALPHAS_FILE = "alphas.jsonl"


class AlphaHistory(pl.Callback):
    """Write the op scores of a gradient search as one line of alphas.jsonl per epoch.

    A line is ``{"epoch": 0, "scores": {"CELL": [[...], ...]}}`` with the scores [edges, ops] of each cell type: the
    probabilities of the ops, or their gates. A resumed search first removes the lines of the epochs that it repeats.

    Args:
        directory: directory of the file.
    """

    def __init__(self, directory: str | Path) -> None:
        self.path = Path(directory) / ALPHAS_FILE

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.forget(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.forget(trainer)  # a callback may have returned to an earlier epoch

    def forget(self, trainer: pl.Trainer) -> None:
        """Remove the lines of the current and of later epochs, and an incomplete last line."""
        if not trainer.is_global_zero or not self.path.exists():
            return
        kept = [line for line in read_alphas(self.path) if line["epoch"] < trainer.current_epoch]
        content = "".join(to_json(line) + "\n" for line in kept)
        if content.encode() != self.path.read_bytes():
            write_atomically(self.path, content)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero or not isinstance(pl_module, GradientSearch):
            return
        tables = pl_module.relaxation.scores(pl_module.masks)
        scores = {name: [[round(x, 6) for x in row] for row in table.tolist()] for name, table in tables.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(to_json({"epoch": trainer.current_epoch, "scores": scores}) + "\n")


def read_alphas(path: Path) -> list[dict[str, Any]]:
    """Return the lines of alphas.jsonl, none if the file is missing. Raises NasError if a line is damaged."""
    return read_log(path, _decode_line)


def _decode_line(text: str) -> dict[str, Any]:
    line = decode_object(text)
    if type(line["epoch"]) is not int or not isinstance(line["scores"], dict):
        raise ValueError("not a line of op scores")
    return line
