"""Table of a sweep: one row per job in sweep.csv, means over seeds in sweep_means.csv, and a short form in the log."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.cli.run_dir.job_record import JobRecord, parse_overrides, read_records, remove_records
from nas.cli.run_dir.layout import FAILURE_FILE, SUMMARY_FILE, SWEEP_FILE, WANDB_RECORD, has_failed
from nas.cli.run_dir.repetition_comparison import compare_repetitions
from nas.cli.run_dir.summary import read_summary
from nas.cli.run_dir.sweep_print import print_means, print_rows, state_columns
from nas.utils.atomic_write import write_atomically
from nas.utils.csv_table import format_csv
from nas.utils.errors import NasError
from nas.utils.program import program

OPTIONAL = ("value", "cifar10/test", "cifar100/test", "imagenet16_120/test", "benchmark/test")
"""Columns that appear only if a job has them: the value of a black-box search, benchmark accuracies."""
PERPLEXITIES = ("val_perplexity", "test_perplexity")
"""Columns of language models, in place of ``ACCURACIES``."""
ACCURACIES = ("images", "val_accuracy", "test_accuracy", "test_top5_accuracy", "calibration_error", "images_per_second")
COLUMNS: dict[str, tuple[str, ...]] = {
    "search": (
        "method",
        "space",
        "dataset",
        "seed",
        "val_accuracy",
        "val_perplexity",
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
        "test_perplexity",
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
        "test_perplexity",
        "val_perplexity",
        "parameters",
        "macs",
        "train_seconds",
        "genotype",
    ),
}
"""Columns by ``mode``, keys of summary.json."""
MEANS_FILE = "sweep_means.csv"
SEED = "seed"

Row = dict[str, Any]


def report_sweep(sweep: Path, mode: str, planned: Sequence[JobRecord] = ()) -> bool:
    """Write and print the table of a sweep.

    Args:
        sweep: directory of the sweep.
        mode: ``mode`` of the jobs, in case all of them failed.
        planned: the jobs that the sweep was to run, if they are known; those of an earlier attempt have ended.

    Returns:
        Whether all jobs succeeded.
    """
    records = {record.number: record for record in [*planned, *read_records(sweep)]}
    started = {record.number for record in read_records(sweep)}
    rows = [_row(records[number], number in started) for number in sorted(records)]
    swept = swept_keys([row["overrides"] for row in rows])
    columns = _columns(rows, mode, swept)
    cells = [{**row, **{key: row["overrides"].get(key, "") for key in swept}} for row in rows]
    print_rows(cells, swept, columns, str(sweep))  # first, because the disk may be full
    means = seed_means(cells, swept, columns)
    if any(mean["n"] for mean in means):
        print_means(means, [key for key in swept if key != SEED])
    try:
        _write(sweep / SWEEP_FILE, ["job", *swept, *columns, *state_columns(cells)], cells)
        if means:
            _write(sweep / MEANS_FILE, list(means[0]), means)
    except OSError as error:
        raise _unwritable(sweep, error) from None
    compare_repetitions(sweep, cells, swept)
    remove_records(sweep)
    _log_to_wandb(sweep, cells, swept, columns, means)
    return not any("failure" in row for row in rows)


def _log_to_wandb(
    sweep: Path, cells: Sequence[Row], swept: Sequence[str], columns: Sequence[str], means: Sequence[Row]
) -> None:
    """Log the tables to a W&B run of the sweep, if its jobs have W&B runs."""
    if any((Path(row["directory"]) / WANDB_RECORD).is_file() for row in cells):
        # imported here, because the import of W&B takes a second
        from nas.cli.run_dir.sweep_wandb import log_sweep

        log_sweep(sweep, cells, swept, columns, means)


def job_row(directory: Path) -> Row:
    """Return the summary of a job, with the means of repetitions as further keys, or its failure."""
    summary = directory / SUMMARY_FILE
    if has_failed(directory):
        return {"failure": (directory / FAILURE_FILE).read_text(errors="replace").partition("\n")[0]}
    if not summary.exists():
        return {"failure": f"no summary; see {directory}"}
    try:
        values = read_summary(directory)
    except NasError as error:
        return {"failure": str(error)}
    return {name: column["mean"] for name, column in values.get("table", {}).items()} | values


def swept_keys(overrides: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the keys whose values differ between jobs, in the order of the command line."""
    keys = dict.fromkeys(key for job in overrides for key in job)
    return [key for key in keys if len({job.get(key) for job in overrides}) > 1]


def seed_means(rows: Sequence[Row], swept: Sequence[str], columns: Sequence[str]) -> list[Row]:
    """Return one row for each group of jobs that differ only in the seed, none if the seed was not swept.

    A row has the swept values, the number n of jobs that succeeded, and ``NAME mean`` and ``NAME std`` (by n - 1) of
    each column with numbers.
    """
    if SEED not in swept:
        return []
    others = [key for key in swept if key != SEED]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in others), []).append(row)
    numeric = [name for name in columns if any(_is_number(row.get(name)) for row in rows)]
    means = []
    for values, group in groups.items():
        mean: Row = dict(zip(others, values, strict=True))
        mean["n"] = sum("failure" not in row and "pruned" not in row for row in group)
        for name in numeric:
            numbers = [float(row[name]) for row in group if _is_number(row.get(name))]
            mean[f"{name} mean"] = statistics.fmean(numbers) if numbers else ""
            mean[f"{name} std"] = statistics.stdev(numbers) if len(numbers) > 1 else ""
        means.append(mean)
    return means


def _row(record: JobRecord, started: bool) -> Row:
    row: Row = {"job": record.number, "directory": record.directory, "overrides": parse_overrides(record.overrides)}
    if record.failure is not None:
        return {**row, "failure": record.failure}
    if not started and not record.ended:
        return {**row, "failure": "not started"}
    if record.pruned is not None:
        return {**row, "pruned": record.pruned}
    if not record.ended:
        return {**row, "failure": f"did not end: it was killed, or it is still running; see {record.directory}"}
    return {**row, **job_row(Path(record.directory))}


def _columns(rows: Sequence[Row], mode: str, swept: Sequence[str]) -> list[str]:
    """Return the columns of the modes that occur, without swept keys and columns that no job has."""
    modes = dict.fromkeys(row["mode"] for row in rows if "mode" in row) or (mode,)
    names = dict.fromkeys(name for mode in modes for name in COLUMNS[mode])
    text = any(name in row for row in rows for name in PERPLEXITIES)
    optional = {*OPTIONAL, *PERPLEXITIES, *(ACCURACIES if text else ())}
    used = [name for name in names if name not in optional or any(name in row for row in rows)]
    return [name for name in used if name not in swept]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _write(file: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    write_atomically(file, format_csv(columns, rows))


def _unwritable(sweep: Path, error: OSError) -> NasError:
    return NasError(
        f"hydra.sweep.dir: the table of the sweep cannot be written to {sweep} ({error.strerror}). The jobs "
        f"keep their results. To compare them, run {program('search')} report {sweep} --output=FILE"
    )
