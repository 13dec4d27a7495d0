"""Cache of PyTorch for compiled graphs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FOLDERS = ("fxgraph", "aotautograd")
"""Folders of the cache whose files are pickles."""

STOP = b"."
"""Last byte of a pickle."""

LENGTHS = {b"\x95": 8, b"\x8e": 8, b"\x8d": 8, b"\x96": 8, b"B": 4, b"X": 4}
"""Bytes of the length in the head of a frame, and of long bytes and texts between frames."""


def remove_cut_entries(cache: Path | None = None) -> None:
    """Remove the entries of the cache that a full disk or a power loss has truncated.

    PyTorch compiles a graph again if its entry cannot be read, but prints two tracebacks for it. Other files, and those
    that another process is writing, are kept.

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
    """Return whether a file is empty, ends unlike a pickle, or has fewer bytes than the parts of its pickle declare."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        if file.read(1) != STOP:
            return True
        position = 2  # after the number of the protocol
        while position < size - 3:  # shorter ends have no frame
            file.seek(position)
            head = file.read(9)
            width = LENGTHS.get(head[:1])
            if width is None:  # an earlier protocol, without frames
                return False
            position += 1 + width + int.from_bytes(head[1 : 1 + width], "little")
        return position > size
