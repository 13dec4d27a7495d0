"""Labels of the log lines of several searches in one process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_label = threading.local()


class _Label(logging.Filter):
    """Put the label of the present thread before a line."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = getattr(_label, "text", "")
        if text and not hasattr(record, "label"):  # several handlers get the same record
            record.label = text
            record.msg = f"{text}  {record.msg}"
        return True


@contextmanager
def labeled_log(text: str) -> Iterator[None]:
    """Put ``text`` before each line that this thread logs."""
    found = [(handler, _Label()) for handler in logging.getLogger().handlers]
    for handler, label in found:
        handler.addFilter(label)
    _label.text = text
    try:
        yield
    finally:
        _label.text = ""
        for handler, label in found:
            handler.removeFilter(label)
