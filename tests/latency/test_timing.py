"""Interleaved timing on a clock of the test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nas.latency import timing
from nas.latency.timing import Timing, measure_interleaved


class Clock:
    """Clock that only functions of the test advance."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[int] = []

    def function(self, number: int, cold: float, warm: float) -> Callable[[], None]:
        """Return a function that takes ``warm`` seconds if it was called last, otherwise ``cold``."""

        def run() -> None:
            self.now += warm if self.calls[-1:] == [number] else cold
            self.calls.append(number)

        return run


def test_functions_take_turns_and_the_second_call_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, rounds = Clock(), []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock.now)
    functions = [clock.function(0, 5.0, 0.001), clock.function(1, 5.0, 0.003), clock.function(2, 5.0, 0.002)]
    found = measure_interleaved(functions, runs=4, warmup=2, progress=rounds.append)
    assert [t.median for t in found] == pytest.approx([1.0, 3.0, 2.0])
    assert len(clock.calls) == 2 * 3 * 6 and rounds == [1, 2, 3, 4, 5, 6]
    turns = [clock.calls[start : start + 6] for start in range(0, 36, 6)]
    assert all(sorted(turn) == [0, 0, 1, 1, 2, 2] for turn in turns) and len(set(map(tuple, turns))) > 1


def test_warm_up_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = Clock(), []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock.now)

    def slow_at_first() -> None:
        calls.append(1)
        clock.now += 1.0 if len(calls) <= 4 else 0.001

    (found,) = measure_interleaved([slow_at_first], runs=3, warmup=2)
    assert found == pytest.approx(Timing(1.0, 1.0, 1.0))


def test_quantiles_are_those_of_sorted_durations() -> None:
    found = Timing.of([seconds / 1000 for seconds in range(11)])
    assert found == pytest.approx(Timing(5.0, 1.0, 9.0))
