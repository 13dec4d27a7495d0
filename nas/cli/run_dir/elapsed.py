"""Wall-clock duration of a run without a trainer over all of its parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nas.utils.atomic_write import write_json
from nas.utils.is_number import is_number
from nas.utils.read_file import read_json

TIMING = "timing.json"
"""File with the duration so far."""
DURATION, SHARDS, LONGEST = "search_seconds", "shards", "longest_shard_seconds"
"""Keys of the file; the last two are those of a ranking that was merged from shards."""
SAVE_INTERVAL = 10.0
"""Seconds between two writes of ``Elapsed.save_sometimes``, which a killed run loses at most."""


class Elapsed:
    """Clock of a run that ``timing.json`` continues after a resume.

    Args:
        directory: run directory.
        timing: content of the file of the earlier parts of the run, empty if it is unknown; None without such parts.
        now: clock in seconds.
    """

    def __init__(
        self,
        directory: Path,
        timing: Mapping[str, Any] | None = None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._timing = {DURATION: 0.0} if timing is None else dict(timing)
        self._file = directory / TIMING
        self._now = now
        self._start = now()
        self._saved: float | None = None

    def passed(self) -> float:
        """Return the seconds of this part of the run."""
        return self._now() - self._start

    def figures(self) -> dict[str, Any]:
        """Return the duration of all parts of the run, None if that of an earlier part is unknown, by ``DURATION``."""
        earlier = self._timing.get(DURATION)
        return {**self._timing, DURATION: None if earlier is None else round(earlier + self.passed(), 3)}

    def save(self) -> None:
        """Write the duration."""
        self._saved = self._now()
        write_json(self._file, self.figures())

    def save_sometimes(self) -> None:
        """Write the duration, unless the last write is recent."""
        if self._saved is None or self._now() - self._saved >= SAVE_INTERVAL:
            self.save()

    def finish(self) -> None:
        """Write the duration, unless nothing was written before: the run has then not begun."""
        if self._saved is not None:
            self.save()


def read_timing(directory: Path) -> dict[str, Any]:
    """Return the numbers in the file of a run, empty without a readable one."""
    try:
        found = read_json(directory / TIMING)
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in found.items() if is_number(value)} if isinstance(found, dict) else {}


def merge_timings(seconds: list[float | None]) -> dict[str, Any]:
    """Return the content of the file of a ranking that was merged from shards: sum and maximum of their durations.

    The shards may have run at the same time or one after another, so the sum is a cost, not a duration.
    """
    known = [one for one in seconds if one is not None]
    if len(known) < len(seconds):
        return {SHARDS: len(seconds)}
    return {DURATION: round(sum(known), 3), SHARDS: len(seconds), LONGEST: max(known)}
