"""Append-only logs of lines: reading with a check of every line, and recovery from a kill."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nas.utils.errors import NasError, one_line
from nas.utils.read_file import parse_json, read_bytes

T = TypeVar("T")
log = logging.getLogger(__name__)
RESTORE = "Restore the file, or move it away to resume without its lines."


def read_log(path: Path, decode: Callable[[str], T], fix: str = RESTORE, needed: int = 0) -> list[T]:
    """Decode the lines of an append-only log; an absent file has none.

    A last line without a line break was cut off by a kill. It is ignored, with a log message.

    Args:
        path: the file.
        decode: returns the content of a line, without its line break, or raises an error for other content.
        fix: advice of the error.
        needed: number of lines that the file must have, because nothing else replaces them.

    Raises:
        NasError: if a line is damaged or missing; the message names the file and the line. No file is changed. Also if
            the file cannot be read.
    """
    if not path.exists():
        return []
    try:
        *complete, rest = read_bytes(path).split(b"\n")
    except (OSError, ValueError) as error:
        raise NasError(f"{path} cannot be read: {one_line(error)}") from None
    if rest and len(complete) >= needed:
        log.info("ignored line %d of %s, which a kill has cut off", len(complete) + 1, path)
    values = []
    for number, line in enumerate(complete, 1):
        try:
            values.append(decode(line.decode()))
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, NasError):
            raise NasError(f"{path}: line {number} is damaged. {fix}") from None
    if len(complete) < needed:
        problem = "cut off" if rest else "missing"
        raise NasError(f"{path}: line {len(complete) + 1} of {needed} is {problem}. {fix}")
    return values


def decode_object(line: str) -> dict[str, Any]:
    """Return the JSON object in a line. Raises ValueError if it is none."""
    value = parse_json(line)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value
