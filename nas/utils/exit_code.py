"""Exit codes of commands."""

from __future__ import annotations

import sys
from collections.abc import Callable

from nas.utils.errors import NasError


def exit_code(command: Callable[[], object]) -> int:
    """Run a command and return its exit code: 0, or 1 after one line on stderr about a mistake of the user."""
    try:
        command()
    except NasError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
