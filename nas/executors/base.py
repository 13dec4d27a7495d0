"""Interface of executors and of their workers."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, NamedTuple, Self

from nas.utils.errors import NasError, one_line

log = logging.getLogger(__name__)
Evaluate = Callable[[Any, int | None, int], Any]
"""Function that evaluates (candidate, fidelity, position) -> value."""
Build = Callable[[str], Evaluate]
"""Function that builds the evaluation on a device, such as "cpu" or "cuda:1". It is pickled for other processes."""
ATTEMPTS = 2
"""Evaluations of a candidate before it counts as failed."""


class Task(NamedTuple):
    """Evaluation of one candidate.

    Attributes:
        candidate: object to evaluate.
        fidelity: training length in epochs, None for a single fidelity.
        position: number of the task, unique among the tasks of the workers.
    """

    candidate: Any
    fidelity: int | None
    position: int


class Outcome(NamedTuple):
    """Result of a task.

    Attributes:
        position: number of the task.
        value: result of the evaluation, None after a failure.
        error: description of the failure, None after a success.
        seconds: measured time from the start of the first attempt to the end of the last one.
    """

    position: int
    value: Any
    error: str | None = None
    seconds: float = 0.0


class BuildError(Exception):
    """Error while a worker builds its evaluation: no candidate can be evaluated."""


class Workers(ABC):
    """Running workers, ended by ``close`` or at the end of a ``with`` block.

    An evaluation that raises, or whose worker dies, is repeated once. A second failure is an outcome with ``error``.
    NasError and errors while a worker builds its evaluation are raised by ``submit`` or ``next``.

    Attributes:
        count: number of candidates that are evaluated at the same time.
    """

    count: int = 1

    @property
    @abstractmethod
    def running(self) -> Collection[int]:
        """Positions of the submitted tasks whose outcomes have not been returned."""

    @property
    def idle(self) -> bool:
        """True if another task can be submitted."""
        return len(self.running) < self.count

    @abstractmethod
    def submit(self, candidate: Any, fidelity: int | None = None, position: int = 0) -> None:
        """Start an evaluation. At most ``count`` tasks may be submitted at the same time."""

    @abstractmethod
    def next(self) -> Outcome:
        """Wait for the next outcome, that of the lowest position if several are available."""

    def close(self) -> None:  # noqa: B027, workers in this process have nothing to end
        """End the workers, and abandon running evaluations; ``PoolWorkers`` wait for them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Executor(ABC):
    """Executor of evaluations, which starts nothing before ``start``.

    Attributes:
        prepare: function that each worker calls first, for example to restore a configuration; None for no function.
    """

    prepare: Callable[[], None] | None = None

    @abstractmethod
    def workers(self, device: str = "cpu") -> int:
        """Return the number of candidates that are evaluated at the same time on devices of a kind."""

    @abstractmethod
    def start(self, build: Build, device: str = "cpu") -> Workers:
        """Start the workers.

        Args:
            build: builds the evaluation of a worker.
            device: kind of device: "cpu" or "cuda".

        Raises:
            NasError: if an option or a package is missing, or ``build`` cannot be sent to another process.
        """


def is_fatal(error: BaseException) -> bool:
    """Return whether an error concerns all candidates: mistakes of the user, interrupts, and failed builds."""
    return isinstance(error, NasError | BuildError) or not isinstance(error, Exception)


def describe(error: BaseException) -> str:
    """Return type and text of an error in one line."""
    return f"{type(error).__name__}: {one_line(error)}".removesuffix(": ")[:500]


def log_retry(task: Task, error: BaseException) -> None:
    """Log that a task is evaluated a second time."""
    log.warning("candidate %d failed and is evaluated again (%s)", task.position, describe(error))
    log.debug("failure of candidate %d", task.position, exc_info=error)
