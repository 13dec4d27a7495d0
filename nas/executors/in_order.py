"""Outcomes in the order of the tasks, although workers finish in any order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from nas.executors.base import Outcome, Task, Workers

LOOK_AHEAD = 8
"""Tasks per worker that may be finished before the first unfinished one."""


def in_order(
    workers: Workers, tasks: Iterable[Task], split: Callable[[Task], list[Task]] | None = None
) -> Iterator[Outcome]:
    """Evaluate tasks, and yield their outcomes in the order of the tasks.

    Args:
        workers: workers without other tasks.
        tasks: tasks with different positions.
        split: divides a failed task into several, which are evaluated in its place; None or an empty list keeps the
            failure.
    """
    source, again = iter(tasks), deque[Task]()
    order: deque[int] = deque()
    task_of: dict[int, Task] = {}
    outcomes: dict[int, Outcome] = {}
    while True:
        while workers.idle and (again or len(order) < LOOK_AHEAD * workers.count):
            task = again.popleft() if again else next(source, None)
            if task is None:
                break
            if task.position not in task_of:
                order.append(task.position)
            task_of[task.position] = task
            workers.submit(*task)
        if not order:
            return
        outcome = workers.next()
        parts = split(task_of[outcome.position]) if split is not None and outcome.error is not None else []
        if parts:
            place = order.index(outcome.position)
            order.rotate(-place)
            order.popleft()
            order.extendleft(part.position for part in reversed(parts))
            order.rotate(place)
            task_of |= {part.position: part for part in parts}
            again.extend(parts)
        else:
            outcomes[outcome.position] = outcome
        while order and order[0] in outcomes:
            position = order.popleft()
            del task_of[position]
            yield outcomes.pop(position)
