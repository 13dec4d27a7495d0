"""Command ``nas-search leaderboard``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from nas.cli.commands.leaderboard.finished_runs import RunRecord, find_finished_runs
from nas.cli.commands.leaderboard.print_tables import print_tables
from nas.leaderboard.board import DEFAULT_METRICS, SORTS, SUPERNET_METRICS, Selection, Table, arrange
from nas.leaderboard.entry import Entry
from nas.leaderboard.formats import WRITERS, check_output
from nas.leaderboard.published import entries_of
from nas.leaderboard.runs import Run, entries_of_runs, newest_of_seeds
from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError
from nas.utils.one_line_errors import one_line_errors
from nas.utils.program import program
from nas.utils.tool_parser import ToolParser
from nas.utils.user_path import user_path
from nas.zoo.results import load_metrics, load_results, load_sources

DESCRIPTION = """Print a table of published results and finished runs. A RUN is a run directory, the directory of a
sweep, or any directory of runs. Runs that differ only in the seed are one row with mean, standard deviation and
number of runs. Each run lists its differences from the published settings of its method."""


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    _run(_parser().parse(arguments))
    return 0


def _run(options: argparse.Namespace) -> None:
    output = None if options.output is None else user_path(options.output)
    if output is not None:
        check_output(output, options.overwrite)
    tables = build_tables(options)
    if output is None:
        print_tables(tables)
    else:
        write_atomically(output, WRITERS[output.suffix](tables, load_sources()))
        print(f"{sum(len(table.rows) for table in tables)} entries of {len(tables)} tables written to {output}")


def build_tables(options: argparse.Namespace) -> list[Table]:
    """Return the tables of the parsed options.

    Raises:
        NasError: if an option is wrong, or no run has a value to show.
    """
    published = entries_of(load_results())
    runs = [_read(directory) for directory in find_finished_runs(options.runs)]
    kept, repeated = newest_of_seeds(_with_protocols([run for run in runs if run is not None]))
    for run, last in repeated:
        print(f"left out: {run.directory}: {last.directory} is newer, with the same settings and seed", file=sys.stderr)
    run_entries = entries_of_runs(kept, load_metrics())
    if options.runs and not run_entries:
        raise NasError("leaderboard: no run has results. Give directories of finished runs.")
    selection = Selection(
        spaces=tuple(options.space),
        datasets=tuple(options.dataset),
        metrics=tuple(options.metric) or _default_metrics(run_entries),
        methods=tuple(options.method),
    )
    entries = [*published, *run_entries]
    selection.check(entries)
    entries = [entry for entry in entries if selection.accepts(entry)]
    if run_entries:  # otherwise the tables of the runs would be lost among those of other tasks
        tasks = {entry.task for entry in entries if entry.origin == "run"}
        entries = [entry for entry in entries if entry.task in tasks]
    if not entries:
        raise NasError("leaderboard: no entry matches all options. Remove one, or use --metric '*'.")
    return arrange(entries, options.sort)


def _default_metrics(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the metrics to show if none is given."""
    has_default = any(entry.task.metric in DEFAULT_METRICS for entry in entries)
    return DEFAULT_METRICS if has_default or not entries else SUPERNET_METRICS


def _read(directory: Path) -> RunRecord | None:
    """Read a run; None, with a line on stderr, if it has no results."""
    try:
        return RunRecord.read(directory)
    except NasError as error:
        print(f"left out: {error}", file=sys.stderr)
        return None


def _is_name(word: str) -> bool:
    """Return whether a word is the name of a space, data set, metric or method, and not a directory of runs."""
    return os.sep not in word and not os.path.isdir(word)


def _with_protocols(records: Sequence[RunRecord]) -> list[Run]:
    if not records:
        return []
    # imported here, because it needs torch, and the help and the published results do not
    from nas.cli.commands.leaderboard.protocol import Protocols

    protocols, runs = Protocols(), []
    for record in records:
        options = protocols.options(record)
        text = protocols.differences(record, options)
        runs.append(Run(record.directory, record.summary, options, text, record.modified))
    return runs


def _parser() -> ToolParser:
    parser = ToolParser(f"{program('search')} leaderboard", description=DESCRIPTION)
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="directories of runs or sweeps (default: published only)"
    )
    default = ", ".join(DEFAULT_METRICS)
    for flag, names in (
        ("--space", "search spaces"),
        ("--dataset", "data sets"),
        ("--metric", f"metrics (default: {default})"),
        ("--method", "methods or architectures"),
    ):
        parser.add_values(flag, _is_name, "NAME", default=[], help=f"{names}; * stands for any text")
    parser.add_argument("--sort", default="value", choices=sorted(SORTS), help="order of the rows (default: value)")
    parser.add_argument("--output", metavar="FILE", help=f"write a file that ends in {', '.join(WRITERS)}")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
