"""Check of numbers that come from files."""

from __future__ import annotations

from typing import Any, TypeGuard

LIMIT = 1e30
"""Size from which on numbers of files are ignored."""


def is_number(value: Any) -> TypeGuard[int | float]:
    """Return whether a value of a file is a finite number of a size that tables and charts can show."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LIMIT
