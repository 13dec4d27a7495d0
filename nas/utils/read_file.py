"""Reading of untrusted files: regular files of bounded size, JSON of bounded depth."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 28
MAX_DIGITS = 300  # of an integer, so that float() does not overflow


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Read a regular file without waiting for a named pipe or a device.

    Raises:
        OSError: if the file cannot be read, or is a directory, named pipe, socket or device.
        ValueError: if it has more than ``max_bytes`` bytes.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)  # of a directory: fdopen would raise an error with its number in place of its name
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(max_bytes + 1) if status.st_size <= max_bytes else b""
    if max(status.st_size, len(content)) > max_bytes:
        raise ValueError(f"{path} has more than {max_bytes:,} bytes")
    return content


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """Read a regular file of UTF-8 text. Raises the errors of ``read_bytes``, and ValueError for any other encoding."""
    return read_bytes(path, max_bytes).decode("utf-8")


def read_json(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """Read a regular JSON file. Raises the errors of ``read_text``, and ValueError if the content is not JSON."""
    return parse_json(read_text(path, max_bytes))


def parse_json(text: str) -> Any:
    """Parse JSON; an integer beyond any float is infinite, as 1e400 is.

    Raises:
        ValueError: if the text is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text, parse_int=_bounded_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _bounded_number(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)
