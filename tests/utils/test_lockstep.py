"""Tests of tasks in threads with joint execution of their requests."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import pytest

from nas.utils.lockstep import Interrupted, Lockstep


class PythonGenerator:
    """Random generator of Python as the separate state of each task."""

    def save(self) -> Any:
        return random.getstate()

    def restore(self, state: Any) -> None:
        random.setstate(state)


def test_requests_of_one_key_are_executed_together() -> None:
    calls: list[tuple[Hashable, dict[int, Any]]] = []

    def execute(key: Hashable, values: Mapping[int, Any]) -> Mapping[int, Any]:
        calls.append((key, dict(values)))
        return {task: value * 10 for task, value in values.items()}

    lockstep = Lockstep(execute, PythonGenerator())

    def task(number: int, keys: str) -> Callable[[], list[int]]:
        return lambda: [lockstep.request(number, key, number + 1) for key in keys]

    assert lockstep.run([task(0, "ab"), task(1, "aba"), task(2, "cb")], ["x", "y", "z"]) == [
        [10, 10],
        [20, 20, 20],
        [30, 30],
    ]
    assert calls == [
        ("a", {0: 1, 1: 2}),
        ("c", {2: 3}),
        ("b", {0: 1, 1: 2, 2: 3}),
        ("a", {1: 2}),
    ]


def test_each_task_has_its_own_state() -> None:
    lockstep = Lockstep(lambda key, values: values, PythonGenerator())

    def task(number: int) -> Callable[[], list[float]]:
        def run() -> list[float]:
            random.seed(number)
            found = []
            for _ in range(3):
                found.append(random.random())
                lockstep.request(number, "wait", None)
            return found

        return run

    random.seed(7)
    expected = random.random()
    random.seed(7)
    found = lockstep.run([task(number) for number in range(3)], ["0", "1", "2"])
    assert random.random() == expected
    assert found == [[rng.random() for _ in range(3)] for rng in map(random.Random, range(3))]


def test_errors_end_the_tasks_that_they_belong_to() -> None:
    def execute(key: Hashable, values: Mapping[int, Any]) -> Mapping[int, Any]:
        if key == "bad":
            raise ValueError("together")
        return values

    lockstep = Lockstep(execute, PythonGenerator())

    def failing() -> None:
        raise KeyError("alone")

    found = lockstep.run(
        [failing, lambda: lockstep.request(1, "bad", 0), lambda: lockstep.request(2, "good", 5)], ["0", "1", "2"]
    )
    assert isinstance(found[0], KeyError) and isinstance(found[1], ValueError) and found[2] == 5


def test_an_interrupt_ends_all_tasks() -> None:
    ended: list[int] = []

    def execute(key: Hashable, values: Mapping[int, Any]) -> Mapping[int, Any]:
        raise KeyboardInterrupt

    lockstep = Lockstep(execute, PythonGenerator())

    def task(number: int) -> Callable[[], None]:
        def run() -> None:
            try:
                lockstep.request(number, "step", None)
            except Interrupted:
                lockstep_is_off_main = threading.current_thread() is not threading.main_thread()
                ended.append(number if lockstep_is_off_main else -1)
                raise

        return run

    with pytest.raises(KeyboardInterrupt):
        lockstep.run([task(0), task(1)], ["0", "1"])
    assert ended == [0, 1]


def test_all_tasks_reach_their_next_request_before_an_interrupt_ends_them() -> None:
    """Searches then have checkpoints of the same epoch."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    reached: list[tuple[int, int]] = []
    lockstep = Lockstep(lambda key, values: values, PythonGenerator())

    def task(number: int) -> Callable[[], None]:
        def run() -> None:
            for step in range(3):
                if (number, step) == (0, 1):
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(0.2)  # the main thread handles the signal
                reached.append((number, step))
                lockstep.request(number, "step", None)

        return run

    try:
        with pytest.raises(KeyboardInterrupt):
            lockstep.run([task(0), task(1), task(2)], ["0", "1", "2"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert reached == [(number, step) for step in (0, 1) for number in (0, 1, 2)]
