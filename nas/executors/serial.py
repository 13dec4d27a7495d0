"""Evaluation in this process, one candidate at a time."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from nas.executors.base import (
    ATTEMPTS,
    Build,
    Evaluate,
    Executor,
    Outcome,
    Task,
    Workers,
    describe,
    is_fatal,
    log_retry,
)


class Serial(Executor):
    """Executor without workers: each candidate is evaluated when it is submitted."""

    def workers(self, device: str = "cpu") -> int:
        return 1

    def start(self, build: Build, device: str = "cpu") -> Workers:
        return SerialWorkers(build(device))


class SerialWorkers(Workers):
    """The process itself as the only worker.

    Args:
        evaluate: evaluation of a candidate.
    """

    def __init__(self, evaluate: Evaluate) -> None:
        self.evaluate = evaluate
        self._outcomes: deque[Outcome] = deque()

    @property
    def running(self) -> list[int]:
        return [outcome.position for outcome in self._outcomes]

    def submit(self, candidate: Any, fidelity: int | None = None, position: int = 0) -> None:
        self._outcomes.append(attempt(self.evaluate, Task(candidate, fidelity, position)))

    def next(self) -> Outcome:
        return self._outcomes.popleft()


def attempt(evaluate: Evaluate, task: Task) -> Outcome:
    """Evaluate a task in this process, twice if the first evaluation fails."""
    began = time.perf_counter()
    for remaining in reversed(range(ATTEMPTS)):
        try:
            return Outcome(task.position, evaluate(*task), None, time.perf_counter() - began)
        except Exception as error:
            if is_fatal(error):
                raise
            if not remaining:
                return Outcome(task.position, None, describe(error), time.perf_counter() - began)
            log_retry(task, error)
    raise AssertionError("a task has at least one attempt")
