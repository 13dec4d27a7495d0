"""Untrusted text, made safe for one line of a terminal, a table or a plot."""

from __future__ import annotations

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str, limit: int | None = None) -> str:
    """Return text without line breaks, control characters and undecodable bytes, cut to ``limit`` characters."""
    if limit is not None and len(text) > limit:
        text = text[: limit - 3] + "..."
    return "".join(c if c.isprintable() else " " if c.isspace() else REPLACEMENT for c in text)
