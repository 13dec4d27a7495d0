"""Readable ids of parametrized test cases."""

from __future__ import annotations

from collections.abc import Mapping


def option_ids(value: object) -> str | None:
    """Return ``key=value,...`` for options and the name of a function; None selects pytest's own id."""
    if isinstance(value, Mapping):
        return ",".join(f"{key}={option}" for key, option in value.items()) or "default"
    name = getattr(value, "__name__", None)
    return name if name != "<lambda>" else None
