"""Selection and order of the entries of a leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from nas.leaderboard.entry import Entry, Task
from nas.utils.errors import NasError, unknown

DEFAULT_METRICS = ("test_accuracy", "top1_accuracy", "test_perplexity")
"""Metrics that are shown by default."""
SUPERNET_METRICS = ("supernet_accuracy", "supernet_perplexity")
"""Metrics that are shown by default for runs without one of ``DEFAULT_METRICS``: searches without a benchmark."""
SORTS: dict[str, Callable[[Entry], Any]] = {
    "value": lambda entry: -entry.value if entry.task.higher else entry.value,
    "model": lambda entry: entry.name.lower(),
    "source": lambda entry: (entry.origin != "run", entry.source.lower()),
    "runs": lambda entry: -(entry.runs or 0),
}
"""Orders of the entries of a task, by the name of the option; the best value first among equals."""


@dataclass(frozen=True)
class Selection:
    """Conditions on the entries to show. An empty tuple accepts all; ``*`` stands for any text.

    Attributes:
        spaces: names of spaces.
        datasets: names of data sets.
        metrics: keys of metrics.
        methods: names of models.
    """

    spaces: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    metrics: tuple[str, ...] = DEFAULT_METRICS
    methods: tuple[str, ...] = ()

    def accepts(self, entry: Entry) -> bool:
        """Return whether an entry fulfills all conditions."""
        task = entry.task
        pairs = (
            (self.spaces, task.space),
            (self.datasets, task.dataset),
            (self.metrics, task.metric),
            (self.methods, entry.model),
        )
        return all(not patterns or any(fnmatchcase(name, pattern) for pattern in patterns) for patterns, name in pairs)

    def check(self, entries: Sequence[Entry]) -> None:
        """Raise NasError for a name that no entry has."""
        tables: tuple[tuple[str, tuple[str, ...], set[str]], ...] = (
            ("--space", self.spaces, {entry.task.space for entry in entries}),
            ("--dataset", self.datasets, {entry.task.dataset for entry in entries}),
            (
                "--metric",
                self.metrics if self.metrics not in (DEFAULT_METRICS, SUPERNET_METRICS) else (),
                {entry.task.metric for entry in entries},
            ),
            ("--method", self.methods, {entry.model for entry in entries}),
        )
        for option, patterns, names in tables:
            for pattern in patterns:
                if not any(fnmatchcase(name, pattern) for name in names):
                    raise unknown(option, pattern, names)


@dataclass(frozen=True)
class Table:
    """Entries of one task in the order to show, each with its rank by value; equal values share a rank."""

    task: Task
    rows: tuple[tuple[int, Entry], ...]


def arrange(entries: Iterable[Entry], sort: str = "value") -> list[Table]:
    """Return one table per task.

    Raises:
        NasError: if ``sort`` is not one of SORTS.
    """
    if sort not in SORTS:
        raise NasError(f"--sort={sort}: unknown order. Use {', '.join(SORTS)}.")
    tasks: dict[Task, list[Entry]] = {}
    for entry in entries:
        tasks.setdefault(entry.task, []).append(entry)
    tables = []
    for task in sorted(tasks):
        best = sorted(tasks[task], key=SORTS["value"])
        values = [entry.value for entry in best]
        ranked = [(1 + values.index(entry.value), entry) for entry in best]
        tables.append(Table(task, tuple(sorted(ranked, key=lambda row: SORTS[sort](row[1])))))
    return tables
