"""Progress bar of a command."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import Progress, ProgressColumn


def progress_bar(*columns: ProgressColumn) -> Progress:
    """Return a bar on stderr, which only a terminal shows, and which disappears at the end."""
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
