"""Console output of a run: panels and fitted lines in a terminal, plain lines elsewhere.

A row is a line of the log with a label of at most 14 characters and a text, ``device         cpu (x86_64)``.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from nas.utils.printable import printable

WIDTH = 14  # characters of a label
WIDEST = 140  # columns of a panel
ROW = re.compile(rf"(?=.{{{WIDTH}}} \S)([a-z]+(?: [a-z]+)*) +(\S.*)", re.DOTALL)
NOT_IN_SWEEPS = (
    *("defaults", "config", "device", "images", "benchmark", "memory", "supernet", "network", "compile"),
    *("parameters", "tested on", "picture", "next", "files"),
)
"""Labels of the rows that a job of a sweep does not print; its log file has all rows."""

Row = tuple[str, str]


def is_terminal(stream: TextIO | None = None) -> bool:
    """Return whether a stream, by default stdout, is a terminal for panels and bars. NO_COLOR disables them."""
    stream = stream or sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def as_row(text: str) -> Row | None:
    """Split a line of the log into label and text, None if it is not a row."""
    match = ROW.fullmatch(text)
    return None if match is None else (match[1], match[2])


class TerminalHandler(logging.StreamHandler[TextIO]):
    """Handler of the console.

    In a terminal it collects the rows of a panel until the panel is complete, and shortens the lines of epochs to one
    line of the terminal (``shorter`` in the record). Elsewhere it writes each line as it is. ``short`` drops the
    rows of ``NOT_IN_SWEEPS``, for the jobs of a sweep.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self.in_terminal = is_terminal(self.stream)
        self.short = False
        self._title: str | None = None
        self._rows: list[Row] = []

    def begin(self, title: str) -> None:
        """Collect the following rows for a panel, if this is a terminal."""
        self.finish()
        if self.in_terminal and not self.short:
            self._title = title

    def finish(self) -> None:
        """Print the panel of the collected rows, if there are any."""
        title, rows, self._title, self._rows = self._title, self._rows, None, []
        if title is not None and rows:
            console = Console()
            console.print(rows_panel(title, rows, min(console.width, WIDEST)))

    def emit(self, record: logging.LogRecord) -> None:
        """Print, collect or drop a record. An error of the console does not end the run."""
        try:
            self._emit(record)
        except Exception:
            self.handleError(record)

    def _emit(self, record: logging.LogRecord) -> None:
        row = as_row(record.getMessage()) if record.levelno == logging.INFO else None
        if row is not None and self.short and row[0] in NOT_IN_SWEEPS:
            return
        if row is not None and self._title is not None:
            self._rows.append(row)
            return
        shorter: Sequence[str] = getattr(record, "shorter", ())
        if not self.in_terminal and not (self.short and shorter):
            super().emit(record)
            return
        texts = [*([] if self.short else [self.format(record)]), *shorter] or [self.format(record)]
        width = Console().width if self.in_terminal else len(texts[0])
        line = next((text for text in texts if len(text) <= width), texts[-1])
        # sys.stdout, which a progress bar replaces, so that the line appears above the bar
        print(line, file=sys.stdout if self.in_terminal else self.stream, flush=True)


def rows_panel(title: str, rows: Sequence[Row], width: int) -> Panel:
    """Return a panel of labeled rows."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(label, Text("\n".join(map(printable, text.splitlines()))))
    return Panel(table, title=title, title_align="left", border_style="cyan", width=width)


def console_handler() -> TerminalHandler | None:
    """Return the handler of the console, None if the log has another configuration."""
    handlers = logging.getLogger().handlers
    return next((handler for handler in handlers if isinstance(handler, TerminalHandler)), None)


def begin_panel(title: str) -> None:
    """Collect the following rows of the log for a panel, if the console is a terminal."""
    if (handler := console_handler()) is not None:
        handler.begin(title)


def finish_panel() -> None:
    """Print the panel of the rows that were collected since ``begin_panel``."""
    if (handler := console_handler()) is not None:
        handler.finish()


@contextmanager
def panel(title: str) -> Iterator[None]:
    """Print the rows that are logged in the context as a panel, if the console is a terminal."""
    begin_panel(title)
    try:
        yield
    finally:
        finish_panel()
