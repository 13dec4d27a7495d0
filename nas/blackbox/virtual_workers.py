"""Workers on the clock of the evaluations' own seconds, in this process."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nas.blackbox.evaluator import QueryResult, TiedResult, tie_of
from nas.executors.base import Evaluate, Outcome, Task, Workers
from nas.executors.serial import attempt


class VirtualWorkers(Workers):
    """Simulation of parallel workers: a result arrives at the time at which its worker has finished.

    Candidates are evaluated one after another when they are submitted. The clock counts the seconds of the results. One
    worker is a serial search.

    Args:
        evaluate: evaluation of a candidate, which returns a ``QueryResult``.
        count: number of workers.
        simulated: whether seconds are simulated; a failed evaluation takes no simulated seconds.

    Attributes:
        now: present time in seconds.
    """

    def __init__(self, evaluate: Evaluate, count: int = 1, simulated: bool = True) -> None:
        self.evaluate = evaluate
        self.count = count
        self.simulated = simulated
        self.now = 0.0
        self._running: dict[int, tuple[float, Outcome]] = {}  # the end of each evaluation, and its outcome

    @property
    def running(self) -> list[int]:
        return list(self._running)

    def submit(self, candidate: Any, fidelity: int | None = None, position: int = 0) -> None:
        outcome = attempt(self.evaluate, Task(candidate, fidelity, position))
        if outcome.error is not None:
            outcome = outcome._replace(value=QueryResult(math.nan, 0.0 if self.simulated else outcome.seconds))
        self._running[position] = (self.now + outcome.value.seconds, outcome)

    def next(self) -> Outcome:
        position = min(self._running, key=lambda number: (self._running[number][0], number))
        self.now, outcome = self._running.pop(position)
        return outcome

    def state_dict(self) -> dict[str, Any]:
        """Return the clock and the results that have not arrived, in primitives."""
        rows = [
            [end, number, outcome.value.value, outcome.value.seconds, outcome.error, tie_of(outcome.value)]
            for number, (end, outcome) in self._running.items()
        ]
        return {"now": self.now, "running": rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the result of ``state_dict``."""
        self.now = state["now"]
        for end, number, value, seconds, error, *tie in state["running"]:
            self._running[number] = (end, Outcome(number, TiedResult.of(value, seconds, *(tie or [0.0])), error))
