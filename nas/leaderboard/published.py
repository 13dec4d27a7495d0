"""Entries of the data file of published and measured results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from nas.leaderboard.entry import DATASETS, Entry, Origin, Task
from nas.zoo.results import Measured, Metric, Published, Result

ACCURACY_OF = {"test_error": "test_accuracy", "top1_error": "top1_accuracy", "top5_error": "top5_accuracy"}
"""Metrics that are compared as accuracies: 100 minus the error."""


def entries_of(results: Sequence[Result]) -> list[Entry]:
    """Return the entries of results: one for the published value and one for our measurement.

    Errors become accuracies, so that all trainings of a data set are in one table.
    """
    metrics = {result.metric.name: result.metric for result in results}
    entries = []
    for result in results:
        for figure in (result.published, result.ours):
            if figure is not None:
                entries.append(_entry(result, figure, metrics))
    return entries


def _entry(result: Result, figure: Published | Measured, metrics: dict[str, Metric]) -> Entry:
    name = ACCURACY_OF.get(result.metric.name)
    metric = result.metric if name is None else metrics.get(name, result.metric)
    value = figure.value if metric is result.metric else Decimal(100) - figure.value
    published = isinstance(figure, Published)
    origin: Origin = "published" if isinstance(figure, Published) else "measured"
    source = figure.source if isinstance(figure, Published) else f"this project, {figure.date}"
    note = result.note if not published and result.published is None else None
    return Entry(
        task=task_of(metric, result.space, result.dataset),
        value=float(value),
        model=result.name,
        source=source,
        origin=origin,
        digits=max(_decimals(figure.value), _decimals(figure.spread)),
        spread=None if figure.spread is None else float(figure.spread),
        runs=figure.runs,
        variant=result.variant or "",
        kind=result.kind,
        protocol="; ".join(filter(None, (*_settings(result), note))),
        search_dataset=result.search_dataset,
        genotype=result.genotype,
        command=result.command,
    )


def _settings(result: Result) -> Iterator[str]:
    """Yield the settings of a result: names of configurations, and the data set of the search if it is another one."""
    if result.protocol:
        yield f"protocol={result.protocol}"
    if result.experiment:
        yield f"experiment={result.experiment}"
    if result.search_dataset not in (None, result.dataset):
        yield f"searched on {DATASETS.get(str(result.search_dataset), result.search_dataset)}"


def _decimals(number: Decimal | None) -> int:
    return 0 if number is None else max(0, -int(number.as_tuple().exponent))


def task_of(metric: Metric, space: str, dataset: str) -> Task:
    """Return the task of a metric of the data file."""
    return Task(space, dataset, metric.name, metric.title, metric.unit, metric.direction == "higher")
