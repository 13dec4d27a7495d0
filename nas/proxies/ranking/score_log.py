"""Crash-safe log of scores."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError, one_line
from nas.utils.file_lock import try_lock
from nas.utils.json_lines import decode_object, read_log
from nas.utils.read_file import parse_json, read_bytes

LOG_FILE = "scores.jsonl"
FORMAT, VERSION = "nas-scores", 2
ABSENT = "(absent)"
"""Value of a missing key in a message, where the other value is null."""


@dataclass(frozen=True)
class ScoreRecord:
    """Score of one architecture.

    Attributes:
        architecture: native string.
        index: index in an enumerable space, else None.
        score: score of the proxy.
        seconds: time of the measurement.
        parameters: number of parameters of the published network.
        macs: multiply-adds of the published network.
    """

    architecture: str
    index: int | None
    score: float
    seconds: float
    parameters: int
    macs: int


class ScoreLog:
    """JSON lines file: a header that identifies the ranking, then one line per architecture.

    An existing file is continued; a last line that was cut off is dropped. Each line is one write call, so a kill loses
    at most one measurement. Numbers that are not finite are stored as strings, since JSON has none. A file lock
    prevents concurrent writers on file systems that support it.

    Args:
        path: file.
        identity: options on which the scores depend.

    Attributes:
        records: scores in the file.

    Raises:
        NasError: if the file belongs to another ranking (``identity`` differs), is damaged before its last line, or is
            being written by another process.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self.identity = json.loads(json.dumps(identity))
        if not path.exists():
            write_atomically(path, encode_log(self.identity, []))
        self._file = path.open("ab", buffering=0)
        try:
            self._lock()
            self.records = self._read()
        except BaseException:
            self._file.close()
            raise

    def append(self, record: ScoreRecord) -> None:
        """Append a score. Raise OSError if it cannot be written completely, for example on a full disk."""
        line = _encode_record(record)
        written = self._file.write(line)
        if written < len(line):  # otherwise the remaining bytes would precede the next line
            self._file.write(line[written:])
        self.records.append(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.fsync(self._file.fileno())
        self._file.close()

    def _lock(self) -> None:
        """Lock the file until it is closed or the process ends."""
        try:
            locked = try_lock(self._file.fileno())
        except OSError:  # the file system has no locks
            return
        if not locked:
            raise NasError(f"{self.path} is being written by another process. Wait for it, or stop it.")

    def _read(self) -> list[ScoreRecord]:
        data = self.path.read_bytes()
        self._check_identity(_read_header(self.path, data))
        records = _read_records(self.path)
        os.truncate(self.path, data.rfind(b"\n") + 1)  # without a line that a kill has cut off
        return records

    def _check_identity(self, header: Mapping[str, Any]) -> None:
        for key, mine in self.identity.items():
            theirs = header.get(key)
            if theirs != mine:
                raise NasError(
                    f"{self.path} has scores with {first_difference(key, theirs, mine)}. Start the ranking in another "
                    "hydra.run.dir."
                )


def read_scores(path: Path) -> tuple[dict[str, Any], list[ScoreRecord]]:
    """Read the identity of a ranking and its scores, without a line that a kill has cut off.

    Raises:
        NasError: if there is no log, it is of another version, or a line is damaged.
    """
    try:
        header = _read_header(path, read_bytes(path))
    except (OSError, ValueError) as error:
        raise NasError(f"{path} cannot be read: {one_line(error)}") from None
    return {key: value for key, value in header.items() if key not in ("format", "version")}, _read_records(path)


def encode_log(identity: Mapping[str, Any], records: Sequence[ScoreRecord]) -> bytes:
    """Return the content of a log."""
    header = _encode_line({"format": FORMAT, "version": VERSION, **identity})
    return b"".join([header, *map(_encode_record, records)])


def _read_header(path: Path, data: bytes) -> dict[str, Any]:
    header: Any = None
    with suppress(ValueError):
        header = parse_json(data[: data.find(b"\n") + 1].decode())
    if not isinstance(header, dict) or header.get("format") != FORMAT or header.get("version") != VERSION:
        old = isinstance(header, dict) and header.get("format") == FORMAT
        problem = (
            "was written by an older version of nas and cannot be resumed"
            if old
            else "is not a log of scores: line 1 is not its header"
        )
        raise NasError(f"{path} {problem}. Start the ranking in another hydra.run.dir.")
    return header


def _read_records(path: Path) -> list[ScoreRecord]:
    decoders: Iterator[Callable[[str], Any]]
    decoders = itertools.chain([decode_object], itertools.repeat(_decode_record))
    fix = "Delete it and all lines after it, then resume."
    _, *records = read_log(path, lambda line: next(decoders)(line), fix)
    return records


def _encode_record(record: ScoreRecord) -> bytes:
    return _encode_line({**asdict(record), "score": encode_float(record.score)})


def _decode_record(line: str) -> ScoreRecord:
    """Return the record in a line. Raises ValueError, TypeError or KeyError if it is none."""
    value = decode_object(line)
    record = ScoreRecord(**{**value, "score": float(value["score"])})
    numbers = [record.parameters, record.macs, *([] if record.index is None else [record.index])]
    valid = isinstance(record.architecture, str) and isinstance(record.seconds, int | float)
    if not valid or not all(type(number) is int for number in numbers):
        raise ValueError("not a record")
    return record


def encode_float(value: float) -> float | str:
    """Return the number, or "nan", "inf" or "-inf"."""
    return value if math.isfinite(value) else str(value)


def _encode_line(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, allow_nan=False) + "\n").encode()


def first_difference(key: str, theirs: Any, mine: Any) -> str:
    """Describe the first option in which two values differ, by its full name."""
    if isinstance(theirs, dict) and isinstance(mine, dict):
        name = next(name for name in [*mine, *theirs] if theirs.get(name, ABSENT) != mine.get(name, ABSENT))
        other = ABSENT if theirs.get(name) is None and mine.get(name) is None else None
        return first_difference(f"{key}.{name}", theirs.get(name, other), mine.get(name, other))
    return f"{key}={theirs}, not {mine}"
