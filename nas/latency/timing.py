"""Interleaved measurement of the duration of several functions."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Timing(NamedTuple):
    """Milliseconds of a pass: the median and the 10 % and 90 % quantiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """Return the quantiles of at least two durations in seconds."""
        deciles = statistics.quantiles(seconds, n=10, method="inclusive")
        return cls(1e3 * statistics.median(seconds), 1e3 * deciles[0], 1e3 * deciles[-1])


def measure_interleaved(
    functions: Sequence[Callable[[], object]],
    runs: int,
    warmup: int = 3,
    synchronize: Callable[[], None] = lambda: None,
    progress: Callable[[int], None] = lambda number: None,
) -> list[Timing]:
    """Time all functions in rounds, so that a change of the load of the machine affects all of them alike.

    Each round calls every function twice, in random order, and times the second call, which finds its data in the
    caches.

    Args:
        functions: functions without arguments.
        runs: timed rounds, at least two.
        warmup: rounds before them.
        synchronize: waits for the device.
        progress: called with the number of completed rounds.
    """
    rng = random.Random(0)
    order = list(range(len(functions)))
    seconds: list[list[float]] = [[] for _ in functions]
    for number in range(warmup + runs):
        rng.shuffle(order)
        for position in order:
            function = functions[position]
            function()
            synchronize()
            start = time.perf_counter()
            function()
            synchronize()
            if number >= warmup:
                seconds[position].append(time.perf_counter() - start)
        progress(number + 1)
    return [Timing.of(times) for times in seconds]
