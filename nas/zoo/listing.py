"""The published architectures as a table for the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from nas.zoo.table import Entry, entries, fold, similar

FLAG = "--list"
HEAD = ("name", "space", "parameters", "MACs", "of", "source", "paper")


def listed(arguments: Sequence[str]) -> int | None:
    """Prints the table where the command line asks for it, and says the exit code; None where it does not.

    Words beside ``--list`` narrow it: those of which an entry's name, aliases, space, source or note contain each.
    """
    if FLAG not in arguments:
        return None
    words = [argument for argument in arguments if argument != FLAG]
    found = [entry for entry in entries() if all(_mentions(entry, word) for word in words)]
    if not found:
        print(f"error: {_nothing(words)}", file=sys.stderr)
        return 1
    try:
        print("\n".join(_rows(found)))
        print(f"{len(found)} architectures: python train.py genotype=NAME; figures as reported, - where none are")
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads it has seen enough; Python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _mentions(entry: Entry, word: str) -> bool:
    texts = (entry.name, *entry.aliases, entry.space, entry.source, entry.paper, entry.note)
    return any(fold(word) in fold(text) for text in texts)


def _nothing(words: Sequence[str]) -> str:
    near = [name for word in words for name in similar(word)]
    hint = f": did you mean {' or '.join(near)}?" if near else "; without a word it lists all"
    return f"{FLAG}: no published architecture has to do with {' and '.join(map(repr, words))}{hint}"


def _rows(found: Iterable[Entry]) -> list[str]:
    table = [HEAD, *map(_row, found)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
    right = (2, 3)
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def _row(entry: Entry) -> tuple[str, ...]:
    data = next(iter(entry.reported), "")
    figures = entry.reported.get(data, {})
    sizes = tuple(f"{round(figures[key], 2):g} M" if key in figures else "-" for key in ("params_M", "macs_M"))
    return (entry.name, entry.space, *sizes, data or "-", entry.source, entry.paper)
