"""Command ``python -m nas COMMAND ...``: all commands of the package."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence

from nas.cli.streams import protect_streams
from nas.utils.one_line_errors import one_line_errors

COMMANDS = {
    "search": ("nas.cli.search", "search for an architecture, or rank proxies; the same as nas-search"),
    "train": ("nas.cli.train", "train, evaluate or export the network of a genotype; the same as nas-train"),
    "data": ("nas.cli.data_command.command", "list and download data sets and benchmark tables"),
    "dashboard": ("nas.cli.dashboard_command.command", "save a dashboard of searches and trainings in W&B"),
    "plot": ("nas.cli.plot_command.command", "draw the cells of a genotype"),
    "accuracy-range": (
        "nas.cli.accuracy_range_command.command",
        "benchmark accuracies of sampled architectures by epoch",
    ),
    "leaderboard": ("nas.cli.leaderboard_command.command", "show published results and runs in one table per task"),
    "report": ("nas.cli.report_command.command", "write an HTML page about one or several runs"),
    "count": ("nas.cli.count_command.command", "count the parameters and operations of a network"),
    "latency": ("nas.cli.latency_command.command", "measure the latency of the ops and networks of a space"),
    "merge": ("nas.cli.merge_command.command", "join the shards of a ranking to one run"),
    "predictors": ("nas.cli.predictors_command.command", "learning curves of predictors on a tabular benchmark"),
    "convert": ("nas.benchmarks.convert", "convert a published benchmark to one Parquet file"),
}


def usage() -> str:
    """Return the list of commands."""
    lines = [f"  {name:<16}{text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        ["usage: python -m nas COMMAND ...", "", *lines, "", "python -m nas COMMAND --help shows its options"]
    )


def main() -> int:
    """Run the command that the first argument names, and return the exit code."""
    command = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if command in ("-h", "--help"):
        print(usage())
        return 0
    if command not in COMMANDS:
        print(f"error: unknown command '{command}'. Use {', '.join(COMMANDS)}.", file=sys.stderr)
        return 1
    del sys.argv[1]
    protect_streams()

    @one_line_errors
    def run(arguments: Sequence[str] | None = None) -> int:
        # as the main module, because the further processes of a distributed run start the main module again
        runpy.run_module(COMMANDS[command][0], run_name="__main__", alter_sys=True)
        return 0

    return run(sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
