"""Tables of a sweep in the log, for a terminal of 80 columns or more."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nas.cli.run_dir.layout import SUMMARY_FILE
from nas.cli.run_dir.terminal import WIDTH
from nas.utils.printable import printable
from nas.utils.program import program

SHOWN = (
    "test_accuracy",
    "val_accuracy",
    "test_perplexity",
    "val_perplexity",
    "value",
    "benchmark_accuracy",
    "spearman",
    "kendall_tau_b",
    "cifar10/test",
    "cifar100/test",
    "imagenet16_120/test",
    "benchmark/test",
    "test_top5_accuracy",
    "test_loss",
    "parameters",
    "bytes",
    "search_seconds",
    "train_seconds",
    "images_per_second",
)
"""Columns of results in the printed table, the most important first. Columns that do not fit are only in sweep.csv."""
CONSTANT = ("method", "proxy", "space", "dataset", "seed")
"""Columns that the title shows, if they are the same for all jobs."""
WIDEST = 24  # characters of a swept value; longer ones are folded
LONGEST_NUMBER = 8  # characters of a swept number that is printed in full
BORDER = 3  # characters between two columns

Cells = Mapping[str, Any]


def print_rows(rows: Sequence[Cells], swept: Sequence[str], columns: Sequence[str], title: str) -> None:
    """Print one row per job with its swept values and results, then one line per failed job."""
    names = short_names(swept)
    texts: dict[str, list[str]] = {"job": [str(row["job"]) for row in rows]}
    texts |= {names[key]: [short_number(printable(str(row[key]))) for row in rows] for key in swept}
    first = next((name for name in SHOWN if name in columns), None)
    for name in (name for name in SHOWN if name in columns and any(row.get(name) is not None for row in rows)):
        texts[_heading(name)] = [_text(row.get(name)) for row in rows]
    if first is not None:
        cells = texts.setdefault(_heading(first), ["" for _ in rows])
        texts[_heading(first)] = [_state(row) or cell for row, cell in zip(rows, cells, strict=True)]
    constants = [f"{name}={values.pop()}" for name in CONSTANT if len(values := _values(rows, name)) == 1]
    console = _console()
    title += "\n" + " ".join(text for text in constants if text.partition("=")[0] not in swept)
    console.print(title.rstrip(), soft_wrap=True)
    console.print(_table(texts, 1 + len(swept), console.width))
    for row in rows:
        if "failure" in row:
            console.print(f"job {row['job']} failed: {row['failure']}", markup=False, soft_wrap=True)


def print_means(means: Sequence[Cells], keys: Sequence[str]) -> None:
    """Print mean and standard deviation over the seeds of each combination of the other swept values."""
    names = short_names(keys)
    columns = {names[key]: [short_number(printable(str(row[key]))) for row in means] for key in keys}
    columns["n"] = [str(row["n"]) for row in means]
    for name in (name for name in SHOWN if f"{name} mean" in means[0]):
        columns[_heading(name)] = [_spread(row[f"{name} mean"], row[f"{name} std"]) for row in means]
    console = _console()
    console.print("mean ± standard deviation over seeds")
    console.print(_table(columns, len(keys) + 1, console.width))


def state_columns(rows: Sequence[Cells]) -> list[str]:
    """Return the last columns of the table: the directory, the epoch of pruned trials if there are any, the failure."""
    return ["directory", *(["pruned"] if any("pruned" in row for row in rows) else []), "failure"]


def print_resume(command: str) -> None:
    """Print the command that runs the missing jobs of a sweep, and resumes the interrupted ones."""
    _console().print(f"{'resume':<{WIDTH}} {command}", soft_wrap=True)


def print_next(sweep: Path) -> None:
    """Print the command that compares the runs of a sweep, if one has results."""
    if any(sweep.rglob(SUMMARY_FILE)):
        command = f"{program('search')} report {shlex.quote(str(sweep))}"
        _console().print(f"{'next':<{WIDTH}} {command}", soft_wrap=True)


def print_comparison(rows: Sequence[Cells], measures: Sequence[str], title: str) -> None:
    """Print means, deviations and mean ranks of the results of repeated searches, as many as fit."""
    columns = {"method": [str(row["method"]) for row in rows], "n": [str(row["n"]) for row in rows]}
    for name in (name for name in (*measures, "value") if all(f"{name} mean" in row for row in rows)):
        columns[_heading(name)] = [_spread(row[f"{name} mean"], row[f"{name} std"]) for row in rows]
    for name in (name for name in (*measures, "value") if all(f"{name} rank" in row for row in rows)):
        columns[_heading(f"{name} rank")] = [_text(row[f"{name} rank"]) for row in rows]
    console = _console()
    console.print(
        f"{title}\nmean ± standard deviation over repetitions, and mean ranks; the file also has p-values",
        soft_wrap=True,
    )
    console.print(_table(columns, 2, console.width))


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return the shortest unique dotted endings of keys, with a line break after each dot but the last."""
    names = {}
    for key in keys:
        parts = key.split(".")
        endings = [".".join(parts[-length:]) for length in range(1, len(parts) + 1)]
        unique = (end for end in endings if sum(f".{other}".endswith(f".{end}") for other in keys) == 1)
        names[key] = next(unique, key).replace(".", ".\n")
    return names


def short_number(text: str) -> str:
    """Return a number with more than eight digits at four significant ones, and any other text as it is."""
    if len(text) <= LONGEST_NUMBER or not re.fullmatch(r"-?\d+\.\d+(e[+-]?\d+)?", text):
        return text
    return f"{float(text):.4g}"


def _state(row: Cells) -> str | None:
    return next((state for key, state in (("failure", "failed"), ("pruned", "pruned")) if row.get(key)), None)


def _table(columns: Mapping[str, Sequence[str]], required: int, width: int) -> Table:
    """Return a table of the first ``required`` columns, the next one, and all further ones that fit into ``width``."""
    table, used = Table(), 1
    for position, (name, cells) in enumerate(columns.items()):
        folded = position < required
        needed = max(len(line) for text in (name, *cells) for line in text.split("\n"))
        used += BORDER + (min(needed, WIDEST) if folded else needed)
        if position > required and used > width:
            used -= BORDER + needed
            continue
        table.add_column(name, overflow="fold", no_wrap=not folded or name == "job")
    kept = [column.header for column in table.columns]
    for row in zip(*(columns[str(name)] for name in kept), strict=True):
        table.add_row(*row)
    return table


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)


def _values(rows: Sequence[Cells], name: str) -> set[str]:
    return {str(row[name]) for row in rows if row.get(name) is not None}


def _heading(name: str) -> str:
    return name.replace("_", "\n").replace("/", "\n").replace(" ", "\n")


def _text(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else "" if value is None else str(value)


def _spread(mean: Any, std: Any) -> str:
    if mean == "":
        return ""
    digits = 0 if abs(mean) >= 1000 else 2
    return f"{mean:.{digits}f}" if std == "" else f"{mean:.{digits}f} ± {std:.{digits}f}"
