"""Terminal listing of the published architectures (train.py --list)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from nas.utils.program import program
from nas.zoo.architectures import PublishedArchitecture, normalize_name, published_architectures, similar_names

FLAG = "--list"
HEADER = ("name", "space", "parameters", "MACs", "of", "source", "paper")
RIGHT_ALIGNED = (2, 3)


def run_list_flag(arguments: Sequence[str]) -> int | None:
    """Print the listing if the command line has ``--list``.

    Further words filter the architectures: each must occur in the name, aliases, space, source, paper or note.

    Returns:
        The exit code; None if there is no ``--list``.
    """
    if FLAG not in arguments:
        return None
    words = [argument for argument in arguments if argument != FLAG]
    entries = [entry for entry in published_architectures() if all(_mentions(entry, word) for word in words)]
    if not entries:
        print(f"error: {_no_match(words)}", file=sys.stderr)
        return 1
    try:
        print("\n".join(_rows(entries)))
        print(
            f"{len(entries)} architectures. Train one: {program('train')} genotype=NAME. "
            "Figures as published; - unknown."
        )
        sys.stdout.flush()
    except BrokenPipeError:  # the reader closed the pipe; without this, Python reports the error again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _mentions(entry: PublishedArchitecture, word: str) -> bool:
    texts = (entry.name, *entry.aliases, entry.space, entry.source, entry.paper, entry.note)
    return any(normalize_name(word) in normalize_name(text) for text in texts)


def _no_match(words: Sequence[str]) -> str:
    near = [name for word in words for name in similar_names(word)]
    hint = f"Did you mean {' or '.join(near)}?" if near else f"{FLAG} alone prints all."
    return f"{FLAG}: no published architecture matches {' and '.join(map(repr, words))}. {hint}"


def _rows(entries: Iterable[PublishedArchitecture]) -> list[str]:
    table = [HEADER, *map(_row, entries)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADER))]
    return [
        "  ".join(
            cell.rjust(width) if column in RIGHT_ALIGNED else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def _row(entry: PublishedArchitecture) -> tuple[str, ...]:
    dataset = next(iter(entry.reported), "")
    figures = entry.reported.get(dataset, {})
    sizes = tuple(f"{round(figures[key], 2):g} M" if key in figures else "-" for key in ("params_M", "macs_M"))
    return (entry.name, entry.space, *sizes, dataset or "-", entry.source, entry.paper)
