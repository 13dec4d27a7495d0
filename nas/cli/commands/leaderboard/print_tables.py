"""Tables of a leaderboard in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from nas.leaderboard.board import Table
from nas.leaderboard.entry import Entry
from nas.leaderboard.formats import COLUMNS, cells
from nas.utils.printable import printable

WIDTH = 160  # characters of a line if the output is no terminal


def print_tables(tables: Sequence[Table]) -> None:
    """Print one table per task; rows of runs are marked by ``>`` and, in a terminal, green."""
    terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, width=None if terminal else WIDTH, highlight=False)
    for table in tables:
        task = table.task
        title = f"{task.space_title}, {task.dataset_title}: {task.metric_title}"
        better = "higher" if task.higher else "lower"
        console.print(Text(f"{title}, {better} is better", style="bold"))
        console.print(_rich(table))
    console.print("mean ± standard deviation (number of runs); > marks runs")


def _rich(table: Table) -> RichTable:
    rich_table = RichTable(show_edge=False, pad_edge=False)
    for name in COLUMNS:
        numeric = name in ("rank", "value")
        rich_table.add_column(name, no_wrap=numeric, justify="right" if name == "rank" else "left", overflow="fold")
    for rank, entry in table.rows:
        rich_table.add_row(*_texts(rank, entry), style="green" if entry.origin == "run" else None)
    return rich_table


def _texts(rank: int, entry: Entry) -> list[Text]:
    first, *others = cells(rank, entry)
    marked = f"> {first}" if entry.origin == "run" else first
    return [Text(printable(text)) for text in (marked, *others)]
