"""The one exception that a user is meant to read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MANY = 40  # choices that are more than a reader wants listed


class NasError(Exception):
    """A mistake a user can mend: one line that says what was wrong, where, and what would work."""


def unknown(kind: str, name: str, choices: Iterable[str]) -> NasError:
    """The error for a name that is not among ``choices``, with the nearest one suggested."""
    known = sorted(choices)
    if not known:
        return NasError(f"unknown {kind} '{name}': there is none to choose from")
    near = difflib.get_close_matches(str(name), known, n=1 if len(known) <= MANY else 3, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(choice) for choice in near)}?" if near else ""
    listed = f"choose from {', '.join(known)}" if len(known) <= MANY or not near else ""
    return NasError(f"unknown {kind} '{name}': {hint} {listed}".replace("  ", " ").rstrip())


def one_line(error: object) -> str:
    """The text of an error, or of anything, without line breaks."""
    return " ".join(str(error).split())
