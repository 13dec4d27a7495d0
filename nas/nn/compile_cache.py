"""Cache of PyTorch for compiled graphs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FOLDERS = ("fxgraph", "aotautograd")
"""Folders of the cache whose files are pickles."""


def remove_cut_entries(cache: Path | None = None) -> None:
    """Remove the entries of the cache that a full disk or the end of the machine has cut off.

    PyTorch compiles a graph again if its entry cannot be read, but prints two tracebacks for it. A pickle ends with a
    full stop. Other files, and those that another process is writing, are kept.

    Args:
        cache: directory of the cache, by default that of this process (TORCHINDUCTOR_CACHE_DIR).
    """
    found = os.environ.get("TORCHINDUCTOR_CACHE_DIR") if cache is None else str(cache)
    for folder in FOLDERS if found else ():
        for path in Path(str(found), folder).rglob("*"):
            with suppress(OSError):  # such as a file that another process has removed
                if not path.name.startswith(".") and path.is_file() and _is_cut(path):
                    path.unlink()


def _is_cut(path: Path) -> bool:
    """Return whether a file is empty, or does not end like a pickle."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"."
