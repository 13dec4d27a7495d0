"""Atomic file output: a reader finds the old file or the new file, never a partial one."""

from __future__ import annotations

import json
import math
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SUFFIX = ".tmp"
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


def write_atomically(path: str | Path, data: str | bytes) -> None:
    """Write ``data`` to a temporary file and rename it to ``path``; a failure leaves the old file unchanged.

    Raises:
        OSError: if the file cannot be written. It names ``path``, not the temporary file.
    """
    with temporary_file(Path(path), data) as temporary:
        os.replace(temporary, path)


@contextmanager
def temporary_file(path: Path, data: str | bytes) -> Iterator[Path]:
    """Write ``data`` to a temporary file beside ``path``, and remove it at the end unless it has been renamed.

    Raises:
        OSError: if the file cannot be written or renamed. It names ``path``, not the temporary file.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{SUFFIX}")
    try:
        with temporary.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary)):  # None: of a write to an open file
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> bool:
    """Rename a complete file unless ``path`` exists; then return False and leave both as they are."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        if path.exists():
            return False
        os.rename(temporary, path)
    else:
        temporary.unlink()
    return True


def remove_temporary_files(directory: Path) -> None:
    """Remove the temporary files that killed calls of ``write_atomically`` have left in a directory."""
    for path in directory.glob(f".*{SUFFIX}"):
        if _TEMPORARY.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write an indented JSON file atomically."""
    write_atomically(path, to_json(value, indent=2) + "\n")


def to_json(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON, in which NaN and infinities are null."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
