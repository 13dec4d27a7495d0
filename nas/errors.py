"""The one exception that a user is meant to read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NasError(Exception):
    """A mistake a user can mend: one line that says what was wrong, where, and what would work."""


def unknown(kind: str, name: str, choices: Iterable[str]) -> NasError:
    """The error for a name that is not among ``choices``, with the nearest one suggested."""
    known = sorted(choices)
    if not known:
        return NasError(f"unknown {kind} '{name}': there is none to choose from")
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return NasError(f"unknown {kind} '{name}': {hint}choose from {', '.join(known)}")


def one_line(error: object) -> str:
    """The text of an error, or of anything, without line breaks."""
    return " ".join(str(error).split())
