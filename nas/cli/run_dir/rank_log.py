"""Log of ranks other than the first: warnings only, in a separate file."""

from __future__ import annotations

import logging
from pathlib import Path

from nas.utils.rank import rank_of


def log_warnings_only() -> None:
    """Restrict the log of this process to warnings, and move its file to ``rank_N.log`` in the same directory."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        handler.setLevel(logging.WARNING)
        if type(handler) is not logging.FileHandler:
            continue
        file = Path(handler.baseFilename)
        own = logging.FileHandler(file.with_name(f"rank_{rank_of()}.log"), delay=True)
        own.setLevel(logging.WARNING)
        own.setFormatter(handler.formatter)
        root.removeHandler(handler)
        handler.close()
        root.addHandler(own)
