"""Table of a sweep: one row per job, printed at the end and written to sweep.csv."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from nas.cli.run_dir.layout import FAILURE_FILE

OPTIONAL = ("value", "cifar10/test", "cifar100/test", "imagenet16_120/test", "benchmark/test")
"""Columns that appear only if a job has them: the value of a black-box search, benchmark accuracies."""
COLUMNS: dict[str, tuple[str, ...]] = {
    "search": (
        "method",
        "space",
        "dataset",
        "seed",
        "val_accuracy",
        *OPTIONAL,
        "parameters",
        "macs",
        "search_seconds",
        "genotype",
    ),
    "rank_proxies": (
        "proxy",
        "space",
        "dataset",
        "seed",
        "architectures",
        "spearman",
        "kendall_tau_b",
        "benchmark_accuracy",
        "search_seconds",
        "genotype",
    ),
    "eval": (
        "weights",
        "dataset",
        "tested_on",
        "images",
        "test_accuracy",
        "test_top5_accuracy",
        "test_loss",
        "calibration_error",
        "parameters",
        "images_per_second",
        "genotype",
    ),
    "export": ("weights", "format", "bytes", "parameters", "macs", "file", "genotype"),
    "train": (
        "space",
        "dataset",
        "tested_on",
        "seed",
        "test_accuracy",
        "parameters",
        "macs",
        "train_seconds",
        "genotype",
    ),
}
"""Columns by ``mode``, keys of summary.json."""


class SweepTable(Callback):
    """Hydra callback that prints and writes the table when all jobs have ended."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        directory = Path(config.hydra.sweep.dir)
        jobs = sorted((p for p in directory.iterdir() if p.is_dir() and not p.name.startswith(".")), key=_number)
        rows = [job_row(job) for job in jobs]
        mode = next((row["mode"] for row in rows if "mode" in row), config.mode)
        columns = [name for name in COLUMNS[mode] if name not in OPTIONAL or any(name in row for row in rows)]
        table = Table(title=str(directory), title_justify="left")
        for column in ("job", *columns):
            table.add_column(column, overflow="fold", no_wrap=column != "genotype")
        for row in rows:
            cells = [_text(row.get(column)) for column in columns]
            if "failure" in row:
                cells[-1] = f"failed: {row['failure']}"
            table.add_row(str(row["job"]), *cells)
        width = None if sys.stdout.isatty() else 240
        Console(width=width, highlight=False).print(table)
        with (directory / "sweep.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["job", *columns, "failure"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        if any("failure" in row for row in rows):
            raise SystemExit(1)


def job_row(directory: Path) -> dict[str, Any]:
    """Return the summary of a job, with the means of repetitions as further keys, or its failure."""
    row: dict[str, Any] = {"job": directory.name}
    summary, failure = directory / "summary.json", directory / FAILURE_FILE
    if summary.exists():
        found = json.loads(summary.read_text())
        row |= {name: column["mean"] for name, column in found.get("table", {}).items()} | found
    elif failure.exists():
        row["failure"] = failure.read_text().strip()
    else:
        row["failure"] = f"no summary; see {directory}"
    return row


def _number(path: Path) -> tuple[int, str]:
    return (int(path.name), "") if path.name.isdigit() else (sys.maxsize, path.name)


def _text(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else "" if value is None else str(value)
