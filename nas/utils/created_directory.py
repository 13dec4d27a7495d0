"""Directories that exist only as long as they have content."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def created_directory(directory: Path) -> Iterator[None]:
    """Create a directory and its parents within the context; remove those that are new and empty at its end.

    So a mistyped path leaves nothing behind if nothing could be written there.
    """
    absent = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for path in absent:
            with suppress(OSError):  # not created, or not empty
                path.rmdir()
