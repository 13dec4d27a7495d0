"""The exception for user errors, and the text of its messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_LISTED = 40
"""Number of choices up to which a message lists all of them."""


class NasError(Exception):
    """A user error. The message is one line: ``key=value: problem. Fix.``"""


def unknown(kind: str, name: str, choices: Iterable[str]) -> NasError:
    """Return the error for a name that is not among ``choices``; the message suggests the nearest choice.

    Args:
        kind: noun for the name, or its configuration key.
        name: the unknown name.
        choices: the valid names.
    """
    valid = sorted(choices)
    if not valid:
        return NasError(f"unknown {kind} '{name}': there are no choices")
    near = difflib.get_close_matches(str(name), valid, n=1 if len(valid) <= MAX_LISTED else 3, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(choice) for choice in near)}?" if near else ""
    listed = f"Choose from {', '.join(valid)}." if len(valid) <= MAX_LISTED or not near else ""
    return NasError(f"unknown {kind} '{name}': {hint} {listed}".replace("  ", " ").rstrip())


def one_line(error: object) -> str:
    """Return the text of an error, or of any object, without line breaks."""
    return " ".join(str(error).split())
