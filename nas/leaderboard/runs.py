"""Entries of finished runs, grouped by configuration over their seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nas.leaderboard.entry import DATASETS, Entry
from nas.leaderboard.published import task_of
from nas.utils.is_number import is_number
from nas.utils.printable import printable
from nas.zoo.results import Metric

LONGEST = 200  # characters of a text of a run in a table


@dataclass(frozen=True)
class Run:
    """Finished run.

    Attributes:
        directory: its directory.
        summary: content of its summary.json.
        options: settings of its configuration by dotted key, without paths; empty if they are unknown.
        protocol: differences of these settings from the published ones.
        modified: modification time of its summary.json in seconds.
    """

    directory: Path
    summary: Mapping[str, Any]
    options: Mapping[str, Any]
    protocol: str
    modified: float = 0.0

    def text(self, key: str, limit: int | None = LONGEST) -> str:
        """Return a text of the summary on one line, empty if there is none."""
        return printable(text_of(self.summary, key), limit)

    @property
    def model(self) -> str:
        """Name of the method, of the proxy, or of the trained architecture."""
        return printable(next(filter(None, self._names), ""), LONGEST)

    @property
    def _names(self) -> list[str]:
        """Complete names of the method, the proxy and the trained architecture, and its genotype."""
        names = [text_of(self.summary, "method"), text_of(self.summary, "proxy")]
        trained = [text_of(self.summary.get("published"), "name"), text_of(self.summary, "genotype")]
        return [*names, *([] if any(names) else trained)]

    @property
    def group(self) -> str:
        """Text that the runs of one configuration have in common.

        A run with repetitions, or with unknown settings, is its own group.
        """
        own = str(self.directory) if "table" in self.summary or not self.options else ""
        parts = [*self._names, *(text_of(self.summary, key) for key in ("mode", "space", "dataset")), own]
        options = sorted((key, value) for key, value in self.options.items() if not is_seed(key))
        return json.dumps([*parts, options], default=str)

    @property
    def seed(self) -> str:
        """Text of all its seeds."""
        options = sorted((key, value) for key, value in self.options.items() if is_seed(key))
        return json.dumps([self.summary.get("seed"), options], default=str)


class Figure(NamedTuple):
    """Value of a run: metric, data set, and with repetitions the deviation and the number of values."""

    metric: str
    dataset: str
    value: float
    spread: float | None = None
    number: int = 1


def is_seed(key: str) -> bool:
    """Return whether a dotted key names a seed."""
    return key.rpartition(".")[2] == "seed"


def text_of(values: Any, key: str) -> str:
    """Return a text of a mapping that comes from a file, empty if there is none."""
    value = values.get(key) if isinstance(values, Mapping) else None
    return value if isinstance(value, str) else ""


def newest_of_seeds(runs: Iterable[Run]) -> tuple[list[Run], list[tuple[Run, Run]]]:
    """Return one run for each configuration and seed, and the omitted runs, each with the newer run of its seed."""
    runs = list(runs)
    newest: dict[tuple[str, str], Run] = {}
    for run in sorted(runs, key=lambda run: run.modified):
        newest[run.group, run.seed] = run
    pairs = [(run, newest[run.group, run.seed]) for run in runs]
    return [run for run, last in pairs if run is last], [(run, last) for run, last in pairs if run is not last]


def entries_of_runs(runs: Iterable[Run], metrics: Mapping[str, Metric]) -> list[Entry]:
    """Return one entry per metric for each group of runs that differ only in the seed.

    A group with several runs has their mean, their standard deviation (by n - 1) and their number.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    return [entry for group in groups.values() for entry in _entries(group, metrics)]


def _entries(runs: Sequence[Run], metrics: Mapping[str, Metric]) -> Iterator[Entry]:
    first = runs[0]
    figures_by_metric: dict[tuple[str, str], list[Figure]] = {}
    for run in runs:
        for figure in figures_of(run.summary):
            figures_by_metric.setdefault((figure.metric, figure.dataset), []).append(figure)
    kinds = {"search": "search", "rank_proxies": "proxy"}
    for (name, dataset), figures in figures_by_metric.items():
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
            genotype=first.text("genotype", None) if len(runs) == 1 and single.number == 1 else None,
            command=first.text("command", None) or None,
        )


def figures_of(summary: Mapping[str, Any]) -> Iterator[Figure]:
    """Yield the values of a summary that the leaderboard compares."""
    mode, dataset = text_of(summary, "mode"), printable(text_of(summary, "dataset"), LONGEST)
    top1 = "top1_accuracy" if dataset == "imagenet" else "test_accuracy"
    table = summary.get("table")
    if mode == "search" and isinstance(table, dict):
        for name in DATASETS:
            column = table.get(f"{name}/test")
            if isinstance(column, dict) and is_number(column.get("mean")):
                spread = float(column["std"]) if is_number(column.get("std")) else None
                n = column.get("n")
                number = n if is_number(n) and isinstance(n, int) and n > 0 else 1
                yield Figure("test_accuracy", name, float(column["mean"]), spread, number)
        return
    keys = {
        "search": {
            **{f"{name}/test": ("test_accuracy", name, 1.0) for name in DATASETS},
            "benchmark/valid": ("valid_accuracy", _benchmark_dataset(summary), 1.0),
            "val_accuracy": ("supernet_accuracy", dataset, 1.0),
            "val_perplexity": ("supernet_perplexity", dataset, 1.0),
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
        "test_perplexity": ("test_perplexity", dataset, 1.0),
        "val_perplexity": ("valid_perplexity", dataset, 1.0),
        "parameters": ("parameters", dataset, 1e6),
    }
    for key, (metric, where, scale) in keys.get(mode, trained).items():
        value = summary.get(key)
        if is_number(value) and where:
            yield Figure(metric, where, float(value) / scale)


def _benchmark_dataset(summary: Mapping[str, Any]) -> str:
    """Return the data set of ``benchmark/valid``, empty if it is unknown or the accuracy is predicted."""
    name, _, protocol = text_of(summary, "benchmark_of").partition(",")
    return name if name in DATASETS and "predicted" not in protocol else ""
