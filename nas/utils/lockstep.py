"""Tasks in threads that run one at a time, and whose requests are executed together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol


class Interrupted(BaseException):
    """Raised in a task by its next request after the program was interrupted.

    It is no ``KeyboardInterrupt``, which Lightning handles by signals. Only the main thread can set those.
    """


class Context(Protocol):
    """State of the process that each task has its own copy of, such as the random generators."""

    def save(self) -> Any:
        """Return the present state."""
        ...

    def restore(self, state: Any) -> None:
        """Set the state to one that ``save`` has returned."""
        ...


Execute = Callable[[Hashable, Mapping[int, Any]], Mapping[int, Any]]
"""Executes requests of one key: values by task -> results by task."""


class Lockstep:
    """Run tasks in threads, one at a time, and execute their requests together.

    A task runs until it makes a request or ends. When all remaining tasks wait for a request, those of the same key are
    executed by one call, in the thread of ``run``. The order of the tasks is always the same.

    Args:
        execute: executes requests of one key. An error is raised in each task that made one of them.
        context: state of the process that each task has its own copy of.
    """

    def __init__(self, execute: Execute, context: Context) -> None:
        self.execute = execute
        self.context = context
        self._turns: list[threading.Lock] = []  # released when the task may run
        self._back = _acquired_lock()  # released when the task waits or has ended
        self._requests: dict[int, tuple[Hashable, Any]] = {}
        self._answers: dict[int, Any] = {}
        self._outcomes: dict[int, Any] = {}
        self._states: list[Any] = []

    def run(self, tasks: Sequence[Callable[[], Any]], names: Sequence[str]) -> list[Any]:
        """Run the tasks to their ends, in threads of these names.

        Returns:
            The result of each task, or the exception that ended it.
        """
        self._turns = [_acquired_lock() for _ in tasks]
        self._states = [self.context.save() for _ in tasks]
        for number, (task, name) in enumerate(zip(tasks, names, strict=True)):
            threading.Thread(target=self._run, args=(number, task), name=name, daemon=True).start()
        try:
            while self._running():
                self._resume(self._running())
                self._answer_requests()
        except KeyboardInterrupt:
            self._interrupt()
            raise
        return [self._outcomes[number] for number in range(len(tasks))]

    def request(self, task: int, key: Hashable, value: Any) -> Any:
        """Wait until the request of a task is executed, and return its result. Called by the task itself."""
        self._requests[task] = key, value
        self._back.release()
        self._turns[task].acquire()
        answer = self._answers.pop(task)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _run(self, number: int, task: Callable[[], Any]) -> None:
        self._turns[number].acquire()
        try:
            answer = self._answers.pop(number, None)
            self._outcomes[number] = answer if isinstance(answer, Interrupted) else task()
        except BaseException as error:  # noqa: BLE001, run() returns it
            self._outcomes[number] = error
        finally:
            self._back.release()

    def _running(self) -> list[int]:
        return [number for number in range(len(self._turns)) if number not in self._outcomes]

    def _resume(self, numbers: Sequence[int]) -> None:
        """Let each task run until its next request or its end, with its own state of the process."""
        main = self.context.save()
        try:
            for number in numbers:
                self.context.restore(self._states[number])
                self._turns[number].release()
                try:
                    self._back.acquire()
                except KeyboardInterrupt:
                    self._back.acquire()  # the state belongs to the task until it stops
                    raise
                finally:
                    self._states[number] = self.context.save()
        finally:
            self.context.restore(main)

    def _answer_requests(self) -> None:
        groups: dict[Hashable, dict[int, Any]] = {}
        for number, (key, value) in self._requests.items():
            groups.setdefault(key, {})[number] = value
        self._requests = {}
        for key, values in groups.items():
            try:
                self._answers.update(self.execute(key, values))
            except Exception as error:  # noqa: BLE001, raised in the tasks
                self._answers.update(dict.fromkeys(values, error))

    def _interrupt(self) -> None:
        """End all tasks: each request raises ``Interrupted``."""
        while self._running():
            self._answers = {number: Interrupted() for number in self._running()}
            self._resume(self._running())


def _acquired_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock
