"""Entries of finished runs, grouped by configuration over their seeds."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nas.leaderboard.entry import DATASETS, Entry
from nas.leaderboard.published import task_of
from nas.utils.printable import printable
from nas.zoo.results import Metric

LONGEST = 200  # characters of a text that comes from a run


@dataclass(frozen=True)
class Run:
    """Finished run.

    Attributes:
        directory: its directory.
        summary: content of its summary.json.
        options: settings of its configuration by dotted key, without seeds and paths.
        protocol: differences of these settings from the published ones.
    """

    directory: Path
    summary: Mapping[str, Any]
    options: Mapping[str, Any]
    protocol: str

    def text(self, key: str) -> str:
        """Return a text of the summary on one line, empty if there is none."""
        return printable(str(self.summary.get(key) or ""), LONGEST)

    @property
    def model(self) -> str:
        """Name of the method, of the proxy, or of the trained architecture."""
        published = self.summary.get("published")
        name = published.get("name") if isinstance(published, dict) else None
        return self.text("method") or self.text("proxy") or printable(str(name or self.text("genotype")), LONGEST)

    @property
    def group(self) -> str:
        """Text that the runs of one configuration have in common; a run with repetitions is its own group."""
        own = str(self.directory) if "table" in self.summary else ""
        parts = [self.model, *map(self.text, ("mode", "space", "dataset")), own]
        return json.dumps([*parts, sorted(self.options.items())], default=str)


class Figure(NamedTuple):
    """Value of a run: metric, data set, and with repetitions the deviation and the number of values."""

    metric: str
    dataset: str
    value: float
    spread: float | None = None
    number: int = 1


def entries_of_runs(runs: Iterable[Run], metrics: Mapping[str, Metric]) -> list[Entry]:
    """Return one entry per metric for each group of runs that differ in the seed alone.

    A group with several runs has their mean, their standard deviation (by n - 1) and their number.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    return [entry for group in groups.values() for entry in _entries(group, metrics)]


def _entries(runs: Sequence[Run], metrics: Mapping[str, Metric]) -> Iterator[Entry]:
    first = runs[0]
    found: dict[tuple[str, str], list[Figure]] = {}
    for run in runs:
        for figure in figures_of(run.summary):
            found.setdefault((figure.metric, figure.dataset), []).append(figure)
    kinds = {"search": "search", "rank_proxies": "proxy"}
    for (name, dataset), figures in found.items():
        if name not in metrics:
            continue
        values = [figure.value for figure in figures]
        single = figures[0]
        yield Entry(
            task=task_of(metrics[name], first.text("space"), dataset),
            value=statistics.fmean(values),
            model=first.model,
            source=", ".join(printable(str(run.directory)) for run in runs),
            origin="run",
            spread=statistics.stdev(values) if len(values) > 1 else single.spread,
            runs=len(values) if len(values) > 1 else single.number,
            kind=kinds.get(first.text("mode"), "training"),
            protocol=first.protocol,
            search_dataset=first.text("dataset") if first.text("mode") == "search" else None,
            genotype=first.text("genotype") if len(runs) == 1 and single.number == 1 else None,
            command=first.text("command") or None,
        )


def figures_of(summary: Mapping[str, Any]) -> Iterator[Figure]:
    """Yield the values of a summary that the leaderboard compares."""
    mode, dataset = summary.get("mode"), printable(str(summary.get("dataset")), LONGEST)
    top1 = "top1_accuracy" if dataset == "imagenet" else "test_accuracy"
    table = summary.get("table")
    if mode == "search" and isinstance(table, dict):
        for name in DATASETS:
            column = table.get(f"{name}/test")
            if isinstance(column, dict) and _is_number(column.get("mean")):
                spread = float(column["std"]) if _is_number(column.get("std")) else None
                yield Figure("test_accuracy", name, float(column["mean"]), spread, int(column.get("n") or 1))
        return
    keys = {
        "search": {
            **{f"{name}/test": ("test_accuracy", name, 1.0) for name in DATASETS},
            "benchmark/valid": ("valid_accuracy", _benchmark_dataset(summary), 1.0),
            "val_accuracy": ("supernet_accuracy", dataset, 1.0),
            "search_seconds": ("search_seconds", dataset, 1.0),
            "parameters": ("parameters", dataset, 1e6),
        },
        "rank_proxies": {
            "spearman": ("spearman", dataset, 1.0),
            "kendall_tau_b": ("kendall", dataset, 1.0),
        },
    }
    trained = {
        "test_accuracy": (top1, dataset, 1.0),
        "test_top5_accuracy": ("top5_accuracy", dataset, 1.0),
        "parameters": ("parameters", dataset, 1e6),
    }
    for key, (metric, where, scale) in keys.get(str(mode), trained).items():
        value = summary.get(key)
        if value is not None and _is_number(value) and where:
            yield Figure(metric, where, float(value) / scale)


def _benchmark_dataset(summary: Mapping[str, Any]) -> str:
    """Return the data set of ``benchmark/valid``, empty if it is unknown."""
    name = str(summary.get("benchmark_of") or "").partition(",")[0]
    return name if name in DATASETS else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
