"""Simulated workers: results in the order of their ends on the clock, failures, and resume."""

from __future__ import annotations

import math

from nas.blackbox.evaluator import QueryResult
from nas.blackbox.virtual_workers import VirtualWorkers


def seconds_of(candidate: float, fidelity: int | None, position: int) -> QueryResult:
    if candidate < 0:
        raise ValueError("negative")
    return QueryResult(10 * candidate, candidate)


def test_results_arrive_in_the_order_of_the_clock() -> None:
    workers = VirtualWorkers(seconds_of, 2)
    workers.submit(5, None, 0)
    workers.submit(1, None, 1)
    assert not workers.idle and list(workers.running) == [0, 1]
    assert (workers.next().position, workers.now) == (1, 1.0)
    workers.submit(4, None, 2)
    assert [workers.next().position, workers.next().position] == [0, 2], "both end at 5 s, the first asked for is first"
    assert workers.now == 5.0 and workers.idle


def test_failure_takes_no_simulated_seconds() -> None:
    workers = VirtualWorkers(seconds_of)
    workers.submit(-1, None, 7)
    outcome = workers.next()
    assert outcome.error == "ValueError: negative" and math.isnan(outcome.value.value) and workers.now == 0.0
    measured = VirtualWorkers(seconds_of, simulated=False)
    measured.submit(-1)
    assert measured.next().value.seconds > 0


def test_state_restores_clock_and_running_evaluations() -> None:
    workers, again = VirtualWorkers(seconds_of, 2), VirtualWorkers(seconds_of, 2)
    for position, seconds in enumerate((3, 1)):
        workers.submit(seconds, None, position)
    workers.next()
    workers.submit(9, None, 2)
    again.load_state_dict(workers.state_dict())
    assert again.now == 1.0 and [again.next()[:2], again.next()[:2]] == [workers.next()[:2], workers.next()[:2]]
