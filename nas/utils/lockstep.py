"""Tasks in threads that run one at a time, with joint execution of their requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol


class Interrupted(BaseException):
    """Exception of the next request of a task after an interrupt of the program.

    It is no ``KeyboardInterrupt``, which Lightning handles by signals. Only the main thread can set signal handlers.
    """


class Context(Protocol):
    """Process state with a separate copy for each task, such as the random generators."""

    def save(self) -> Any:
        """Return the current state."""
        ...

    def restore(self, state: Any) -> None:
        """Set a state that ``save`` returned."""
        ...


Execute = Callable[[Hashable, Mapping[int, Any]], Mapping[int, Any]]
"""Function that executes requests of one key: values by task -> results by task."""


class Lockstep:
    """Runner of tasks in threads, one at a time, with joint execution of their requests.

    A task runs until it makes a request or ends. When all remaining tasks wait for a request, one call in the thread of
    ``run`` executes all requests of the same key. The order of the tasks is always the same.

    Args:
        execute: function that executes requests of one key. Its errors are raised in the tasks of these requests.
        context: process state with a separate copy for each task.
    """

    def __init__(self, execute: Execute, context: Context) -> None:
        self.execute = execute
        self.context = context
        self._turns: list[threading.Lock] = []  # released when the task may run
        self._back = threading.Event()  # set when the task waits or has ended
        self._requests: dict[int, tuple[Hashable, Any]] = {}
        self._answers: dict[int, Any] = {}
        self._outcomes: dict[int, Any] = {}
        self._states: list[Any] = []

    def run(self, tasks: Sequence[Callable[[], Any]], names: Sequence[str]) -> list[Any]:
        """Run the tasks to completion, in threads with these names.

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
        """Execute a request of the calling task, and return its result."""
        self._requests[task] = key, value
        self._back.set()
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
            self._back.set()

    def _running(self) -> list[int]:
        return [number for number in range(len(self._turns)) if number not in self._outcomes]

    def _resume(self, numbers: Sequence[int]) -> None:
        """Run each task until its next request or its end, with its own process state.

        An interrupt is raised at the end, when all tasks have made the same number of requests.
        """
        main = self.context.save()
        interrupt: KeyboardInterrupt | None = None
        try:
            for number in numbers:
                self.context.restore(self._states[number])
                self._back.clear()
                self._turns[number].release()
                try:
                    self._back.wait()
                except KeyboardInterrupt as error:
                    interrupt = error
                    self._back.wait()  # the state belongs to the task until it stops
                finally:
                    self._states[number] = self.context.save()
        finally:
            self.context.restore(main)
        if interrupt is not None:
            raise interrupt

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
