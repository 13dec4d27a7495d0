"""Going on with an interrupted run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from nas.app.launch import merge_overrides, override, saved_overrides
from nas.errors import NasError
from nas.files import write_atomically


def continue_run(arguments: list[str]) -> list[str]:
    """With ``ckpt_path`` naming a run directory, or a checkpoint in one: the same run, in the same directory."""
    given = override(arguments, "ckpt_path")
    if given is None or given == "null":
        return arguments
    directory = run_directory(Path(given))
    if directory is None:
        return arguments
    if (directory / "summary.json").exists() and override(arguments, "hydra.run.dir") is None:
        raise NasError(
            f"{directory} holds a finished run (summary.json): there is nothing to go on with; to add epochs give "
            "trainer.max_epochs=N and hydra.run.dir=NEW"
        )
    completed = merge_overrides(saved_overrides(directory), arguments)
    if override(arguments, "hydra.run.dir") is None:
        completed.append(f"hydra.run.dir='{directory}'")
    return completed


def run_directory(path: Path) -> Path | None:
    """The run directory that ``path`` is, or lies in as checkpoints/*.ckpt; None for a checkpoint elsewhere."""
    if path.is_dir():
        return path
    if not path.exists():
        raise NasError(f"ckpt_path: there is no {path}; give a run directory or a checkpoint file")
    parent = path.parent.parent
    return parent if (parent / ".hydra").is_dir() else None


def checkpoint_file(given: str | None) -> Path | None:
    """The checkpoint that ``ckpt_path`` stands for, or None where it is not set."""
    if given is None:
        return None
    path = Path(given)
    path = path / "checkpoints" / "last.ckpt" if path.is_dir() else path
    if not path.is_file():
        raise NasError(
            f"ckpt_path: there is no {path}; the run was stopped before its first epoch ended, start it anew"
        )
    return path


def rewind(directory: Path, checkpoint: Path) -> None:
    """Drops from history.jsonl and metrics.csv what was written after the checkpoint: it will be written again."""
    try:
        epochs = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["epoch"] + 1
    except (RuntimeError, KeyError, ValueError, EOFError) as error:
        raise NasError(f"{checkpoint} is not a readable checkpoint ({str(error).splitlines()[0]})") from None
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


def _epoch_of(line: str) -> float:
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, KeyError):
        return float("inf")


def _table(names: Sequence[str], rows: list[dict[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=names)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
