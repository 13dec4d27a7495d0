"""Output streams that may be closed, full, or a pipe without a reader."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO


class SafeStream:
    """Text stream that discards its output after the first failed write, so that a run survives its terminal or pipe.

    Args:
        stream: an open stream with a file descriptor.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write ``text``, or discard it."""
        try:
            return self._stream.write(text)
        except OSError:
            self._discard()
            return len(text)

    def flush(self) -> None:
        """Flush the stream, or discard its content."""
        try:
            self._stream.flush()
        except OSError:
            self._discard()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _discard(self) -> None:
        """Redirect the file descriptor to the null device: Python flushes the stream once more at exit."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)


def protect_streams() -> None:
    """Open the standard streams that are closed (``2>&-``) on the null device, and make both outputs safe.

    Without it, the first file that a run opens would become its standard error, and be written over.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(number, "w", closefd=False)  # noqa: SIM115, open until the process ends
            setattr(sys, f"__{name}__", stream)
        if stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, SafeStream(stream))
