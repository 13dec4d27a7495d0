"""A log of scores that survives a kill at any moment."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError

LOG_FILE = "scores.jsonl"
FORMAT, VERSION = "nas-scores", 2

if sys.platform != "win32":
    import fcntl


@dataclass(frozen=True)
class Entry:
    """The score of one architecture. ``seconds`` is how long it took; the size is that of the published network."""

    architecture: str
    index: int | None
    score: float
    seconds: float
    parameters: int
    macs: int


class ScoreLog:
    """One JSON line an architecture, in the order of the pool, behind a line that says what was scored and how.

    Opened on an existing file it goes on there: what was scored stays, and a last line that was cut off is dropped.
    Each line is written by one call and handed to the operating system, so that a kill costs at most the architecture
    in work. Numbers that are not finite are written as text: JSON has none. One process writes at a time, where the
    file system knows locks.

    Raises:
        NasError: if the file is of another scan (``identity`` differs), damaged elsewhere than at its end, or being
            written by another process.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self.identity = json.loads(json.dumps(identity))
        if not path.exists():
            write_atomically(path, _line({"format": FORMAT, "version": VERSION, **self.identity}))
        self._file = path.open("ab", buffering=0)
        try:
            self._lock()
            self.entries = self._take_up()
        except BaseException:
            self._file.close()
            raise

    def append(self, entry: Entry) -> None:
        """Adds a score. Raises OSError where it cannot be written whole, as on a full disk."""
        line = _line({**asdict(entry), "score": encoded(entry.score)})
        written = self._file.write(line)
        if written < len(line):  # the rest would begin the next line
            self._file.write(line[written:])
        self.entries.append(entry)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.fsync(self._file.fileno())
        self._file.close()

    def _lock(self) -> None:
        """Until the file is closed, or the process ends in whatever way."""
        if sys.platform == "win32":
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NasError(
                f"{self.path} is being written by another process: the scan goes on there; wait for it, or end it first"
            ) from None
        except OSError:  # a file system without locks
            return

    def _take_up(self) -> list[Entry]:
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        lines = whole.splitlines()
        header = _decoded(lines[0]) if lines else None
        if not isinstance(header, dict) or header.get("format") != FORMAT or header.get("version") != VERSION:
            old = isinstance(header, dict) and header.get("format") == FORMAT
            what = "was written by an older version of nas and cannot be resumed" if old else "is not a log of scores"
            raise NasError(f"{self.path} {what}. Start the ranking in another hydra.run.dir.")
        for key, mine in self.identity.items():
            theirs = header.get(key)
            if theirs != mine:
                raise NasError(
                    f"{self.path} was begun with {_difference(key, theirs, mine)}: scores of two kinds do not mix; "
                    "scan anew in another hydra.run.dir"
                )
        entries = [self._entry(number, line) for number, line in enumerate(lines[1:], 2)]
        if len(whole) < len(data):
            os.truncate(self.path, len(whole))
        return entries

    def _entry(self, number: int, line: bytes) -> Entry:
        value = _decoded(line)
        try:
            return Entry(**{**value, "score": float(value["score"])})
        except (TypeError, KeyError, ValueError):
            raise NasError(f"{self.path} is damaged in line {number}: delete it and what follows, and go on") from None


def encoded(value: float) -> float | str:
    """The number, or "nan", "inf", "-inf"."""
    return value if math.isfinite(value) else str(value)


def _line(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, allow_nan=False) + "\n").encode()


def _decoded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _difference(key: str, theirs: Any, mine: Any) -> str:
    """The first option in which two values differ, by its full name."""
    if isinstance(theirs, dict) and isinstance(mine, dict):
        name = next(name for name in [*mine, *theirs] if theirs.get(name) != mine.get(name))
        return _difference(f"{key}.{name}", theirs.get(name), mine.get(name))
    return f"{key}={theirs}, not {mine}"
