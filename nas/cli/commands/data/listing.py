"""Listing of the catalog as a table of at most 80 columns (longer only for long paths)."""

from __future__ import annotations

from nas.cli.commands.data.catalog import Entry
from nas.cli.commands.data.status import UNKNOWN, Status, readable

ROW = "{:<15} {:<14} {:<8} {:>7}  {}"
INDENT = "    "


def header() -> list[str]:
    """Return the names of the columns."""
    return [ROW.format("name", "available", "checksum", "size", "license"), "-" * 78]


def rows(name: str, entry: Entry, status: Status | None, command: str) -> list[str]:
    """Return the lines of an entry: its row, where it is, and how to get it.

    Args:
        name: name of the entry.
        entry: the entry.
        status: state of its files, None if it has none.
        command: the command that downloads an entry, with {name} for its name.
    """
    if status is None:
        return [ROW.format(name, "yes", UNKNOWN, "-", entry.license), f"{INDENT}{entry.note}"]
    size = _size(status.size or entry.size)
    lines = [
        ROW.format(name, status.available, status.checksum, size, entry.license),
        f"{INDENT}{readable(status.where)}",
    ]
    if status.problem:
        lines.append(f"{INDENT}{status.problem}")
    if status.available != "yes":
        if entry.downloadable:
            lines.append(f"{INDENT}get it: {command.format(name=name)}")
        else:
            lines.append(f"{INDENT}get it: {entry.source}")
    return lines


def _size(count: int) -> str:
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            return f"{count / limit:.{0 if count >= 10 * limit else 1}f} {unit}"
    return "-"
