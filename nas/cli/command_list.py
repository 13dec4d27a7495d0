"""Commands other than search and train: module and description of each, without an import of the module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Subcommand(NamedTuple):
    """A command; the ``main`` of its module takes the arguments and returns the exit code."""

    module: str
    description: str


COMMANDS: Mapping[str, Subcommand] = {
    "data": Subcommand("nas.cli.commands.data.command", "list and download data sets and benchmark tables"),
    "convert": Subcommand("nas.cli.commands.convert", "convert a published benchmark to one Parquet file"),
    "report": Subcommand("nas.cli.commands.report.command", "write an HTML report of one run or of several"),
    "leaderboard": Subcommand("nas.cli.commands.leaderboard.command", "print a table of published results and runs"),
    "plot": Subcommand("nas.cli.commands.plot", "draw the cells of a genotype"),
    "accuracy-range": Subcommand(
        "nas.cli.commands.accuracy_range", "plot benchmark accuracies of sampled architectures"
    ),
    "count": Subcommand("nas.cli.commands.count", "count the parameters and operations of a network"),
    "latency": Subcommand("nas.cli.commands.latency.command", "measure the latency of the ops and networks of a space"),
    "predictors": Subcommand("nas.cli.commands.predictors", "plot learning curves of predictors on a benchmark"),
    "merge": Subcommand("nas.cli.commands.merge", "merge the shards of a ranking into one run"),
    "dashboard": Subcommand("nas.cli.commands.dashboard.command", "save a dashboard of searches and trainings in W&B"),
}


def describe_commands(commands: Mapping[str, Subcommand]) -> str:
    """Return one line per command: its name and its description."""
    return "\n".join(f"  {name:<16}{command.description}" for name, command in commands.items())
