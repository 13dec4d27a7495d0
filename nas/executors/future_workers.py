"""Workers whose evaluations are futures: outcomes in the order of completion, and a second attempt after a failure."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections import deque
from concurrent.futures import BrokenExecutor, Future
from queue import SimpleQueue
from typing import Any, NamedTuple

from nas.executors.base import ATTEMPTS, Outcome, Task, Workers, describe, is_fatal, log_retry
from nas.executors.interrupts import interrupts_deferred


class _Started(NamedTuple):
    """Task of a worker.

    Attributes:
        task: the task.
        began: start of the first attempt.
        attempt: number of this attempt.
        alone: whether no other task runs at the same time.
    """

    task: Task
    began: float
    attempt: int = 1
    alone: bool = False


class FutureWorkers(Workers):
    """Base class of workers outside of this process.

    Args:
        count: number of candidates that are evaluated at the same time.

    Attributes:
        isolated: whether a worker that dies loses only its own task. Otherwise all running tasks are lost with it.
            This does not count as an attempt. Each is repeated alone, so that the next loss is its own fault.
    """

    isolated = True

    def __init__(self, count: int) -> None:
        self.count = count
        self._running: dict[Future[Any], _Started] = {}
        self._done: SimpleQueue[Future[Any]] = SimpleQueue()
        self._lost: deque[_Started] = deque()

    @property
    def running(self) -> list[int]:
        return [started.task.position for started in (*self._running.values(), *self._lost)]

    @property
    def idle(self) -> bool:
        alone = self._lost or any(started.alone for started in self._running.values())
        return not alone and super().idle

    def submit(self, candidate: Any, fidelity: int | None = None, position: int = 0) -> None:
        if not self.idle:
            raise ValueError(f"all {self.count} workers are busy")
        self._submit(_Started(Task(candidate, fidelity, position), time.perf_counter()))

    def next(self) -> Outcome:
        while True:
            if not self._running:
                self._submit(self._lost.popleft())
            future = self._next_done()
            started = self._running.pop(future)
            error = self._cause(future.exception())
            with interrupts_deferred():
                self._finish(future, error)
            if error is None:
                return _outcome(started, future.result())
            if is_fatal(error):
                raise error
            if not self.isolated and isinstance(error, BrokenExecutor) and not started.alone:
                self._lost.append(started._replace(alone=True))
            elif started.attempt >= ATTEMPTS:
                return _outcome(started, None, describe(error))
            else:
                self._submit(started._replace(attempt=started.attempt + 1))
            log_retry(started.task, error)

    def _submit(self, started: _Started) -> None:
        with interrupts_deferred():
            future = self._start(started.task)
            self._running[future] = started
            future.add_done_callback(self._done.put)

    def _next_done(self) -> Future[Any]:
        """Wait for a finished future, and return that of the lowest position.

        ``concurrent.futures.wait`` is not used, because an interrupt within it may leave the lock of a future acquired,
        and the thread that sets its result would then wait forever.
        """
        done = [self._done.get()]
        while not self._done.empty():
            done.append(self._done.get())
        done.sort(key=lambda one: self._running[one].task.position)
        for future in done[1:]:
            self._done.put(future)
        return done[0]

    def _cause(self, error: BaseException | None) -> BaseException | None:
        """Return the error of the evaluation that an error of the library contains."""
        return error

    @abstractmethod
    def _start(self, task: Task) -> Future[Any]:
        """Send a task to an idle worker."""

    @abstractmethod
    def _finish(self, future: Future[Any], error: BaseException | None) -> None:
        """Release the worker of a finished future, or replace it if it has died."""


def _outcome(started: _Started, value: Any, error: str | None = None) -> Outcome:
    return Outcome(started.task.position, value, error, time.perf_counter() - started.began)
