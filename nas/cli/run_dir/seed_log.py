"""Labels of the log lines of several searches in one process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from nas.cli.run_dir.terminal import TerminalHandler, as_row

SAME_FOR_ALL_SEEDS = ("defaults", "device", "images", "benchmark", "supernet", "batch")
"""Labels of the rows at the start that the searches of a run with several seeds have in common."""

_label = threading.local()


class _Label(logging.Filter):
    """Put the label of the present thread before a line, and hide rows on the console that another search has shown."""

    def __init__(self, on_console: bool) -> None:
        super().__init__()
        self.on_console = on_console

    def filter(self, record: logging.LogRecord) -> bool:
        text = getattr(_label, "text", "")
        if text and not hasattr(record, "label"):  # several handlers get the same record
            row = as_row(record.getMessage())
            record.label = text
            record.hidden = row is not None and row[0] in _label.hidden
            record.msg = f"{text}  {record.msg}"
        return not (self.on_console and getattr(record, "hidden", False))


@contextmanager
def labeled_log(text: str, hidden: Collection[str] = ()) -> Iterator[None]:
    """Put ``text`` before each line that this thread logs; rows with a label in ``hidden`` are not on the console."""
    handlers = logging.getLogger().handlers
    labels = [(handler, _Label(isinstance(handler, TerminalHandler))) for handler in handlers]
    for handler, label in labels:
        handler.addFilter(label)
    _label.text, _label.hidden = text, hidden
    try:
        yield
    finally:
        _label.text = ""
        for handler, label in labels:
            handler.removeFilter(label)
