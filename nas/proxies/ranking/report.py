"""What a scan says of its score: how it ranks architectures, beside what training them gave."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import nas.benchmarks
from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES, DATASETS
from nas.proxies.ranking.correlation import (
    Interval,
    Statistic,
    Values,
    bootstrap,
    kendall,
    spearman,
    to_higher_is_better,
    top_accuracy,
    top_overlap,
)
from nas.proxies.ranking.log import Entry, encoded
from nas.spaces.base import Space
from nas.utils.errors import NasError, unknown

SPLITS = ("valid", "test", "train", "valtest", "test_of_valid_run", "train_of_valid_run")


class Truth(NamedTuple):
    """Accuracies in percent, NaN where there is none, and ``said``: whose they are, or why there are none."""

    accuracies: Values
    said: str

    @property
    def known(self) -> Any:
        """Whose accuracy there is, bool [architectures]."""
        return np.isfinite(self.accuracies)


class RankingReport:
    """Compares scores with a benchmark.

    Args:
        root: directory in which the benchmark's table is looked for.
        dataset: whose accuracies; a name of the benchmark.
        split: test or valid.
        epochs: length of the training; None takes that of the papers.
        top: numbers of architectures for "the best of the first k".
        resamples: of the bootstrap.
    """

    def __init__(
        self,
        root: str,
        dataset: str,
        split: str = "test",
        epochs: int | None = None,
        top: Sequence[int] = (1, 10, 100),
        resamples: int = 1000,
    ) -> None:
        if not top or any(type(k) is not int or k < 1 for k in top) or resamples < 1:
            raise NasError(f"ranking.report: top={list(top)}, resamples={resamples}: give whole numbers, at least 1")
        self.root = root
        self.dataset = dataset
        self.split = split
        self.epochs = epochs
        self.top = tuple(top)
        self.resamples = resamples

    def check(self, space: Space, dataset: str) -> str | None:
        """Why there will be no accuracies, where what is asked for was not chosen: ``dataset`` is that of the scan.

        Raises:
            NasError: where it was chosen, and there is no such data set or split, or the table does not hold it.
        """
        if self.split not in SPLITS:
            raise unknown("ranking.report.split", self.split, SPLITS)
        if self.dataset != dataset and self.dataset not in DATASETS:
            raise unknown("ranking.report.dataset", self.dataset, DATASETS)
        try:
            benchmark = nas.benchmarks.find_benchmark(self.root, space.notation)
            if benchmark is None:
                return f"no benchmark of space '{space.name}' under {self.root}"
            benchmark.accuracies(self.dataset, self.split, self._epochs(space), "mean")
        except NasError as error:
            if (self.dataset, self.split, self.epochs) == (dataset, "test", None):
                return f"no accuracies: {error}"
            raise NasError(f"ranking.report: {error}") from None
        return None

    def _epochs(self, space: Space) -> int:
        if self.epochs is not None:
            return self.epochs
        return BENCHMARK_SPACES[space.notation].epochs if space.notation in BENCHMARK_SPACES else 0

    def truth(self, space: Space, entries: Sequence[Entry]) -> Truth:
        """The accuracies of the architectures, in their order."""
        nothing = np.full(len(entries), np.nan)
        epochs = self._epochs(space)
        try:
            benchmark = nas.benchmarks.find_benchmark(self.root, space.notation)
            if benchmark is None:
                return Truth(nothing, f"no benchmark of space '{space.name}' under {self.root}")
            values = benchmark.accuracies(self.dataset, self.split, epochs, "mean")
        except NasError as error:
            return Truth(nothing, f"no accuracies: {error}")
        for i, entry in enumerate(entries):
            try:
                nothing[i] = values[benchmark.row(space.parse(entry.architecture))]
            except NasError:
                continue  # a member of the space that the benchmark does not hold
        said = f"{self.split} accuracy on {self.dataset} after {epochs} epochs, mean of the benchmark's seeds"
        return Truth(nothing, said)

    def __call__(self, entries: Sequence[Entry], higher_is_better: bool, truth: Truth) -> dict[str, Any]:
        """The report as plain values; intervals are [low, high]."""
        good = to_higher_is_better([entry.score for entry in entries], higher_is_better)
        seconds = [entry.seconds for entry in entries]
        found: dict[str, Any] = {
            "architectures": len(entries),
            "not_finite": int(np.isinf(good).sum()),
            "distinct_scores": len(np.unique(good)),
            "seconds": {"median": float(np.median(seconds)), "total": round(sum(seconds), 3)},
            "spearman_parameters": _number(spearman(good, np.array([float(e.parameters) for e in entries]))),
            "spearman_macs": _number(spearman(good, np.array([float(e.macs) for e in entries]))),
            "best": self._best(entries, good, truth),
            "benchmark": truth.said,
            "accuracies_of": self.dataset,
            "split": self.split,
            "with_accuracy": int(truth.known.sum()),
        }
        if truth.known.any():
            found |= self.compared(good[truth.known], truth.accuracies[truth.known])
        return found

    def compared(self, good: Values, accuracies: Values) -> dict[str, Any]:
        """Correlations and the best of the first few, with their intervals."""
        sizes = [k for k in self.top if k <= len(good)]
        statistics: dict[str, Statistic] = {"spearman": spearman, "kendall": kendall}
        for k in sizes:
            statistics |= {f"accuracy {k}": partial(top_accuracy, k=k), f"overlap {k}": partial(top_overlap, k=k)}
        found = bootstrap(good, accuracies, statistics, self.resamples)
        return {
            "spearman": _plain(found["spearman"]),
            "kendall_tau_b": _plain(found["kendall"]),
            "top": [
                {"k": k, "accuracy": _plain(found[f"accuracy {k}"]), "overlap": _plain(found[f"overlap {k}"])}
                for k in sizes
            ],
            "best_possible_accuracy": float(accuracies.max()),
            "resamples": self.resamples,
        }

    @staticmethod
    def _best(entries: Sequence[Entry], good: Values, truth: Truth) -> dict[str, Any]:
        first = best_of(good)
        entry = entries[first]
        return {
            "architecture": entry.architecture,
            "index": entry.index,
            "score": encoded(entry.score),
            "accuracy": _number(float(truth.accuracies[first])),
            "equals": int((good == good[first]).sum()) - 1,
        }


def best_of(good: Values) -> int:
    """The place of the best score, the first of equals."""
    return int(np.argmax(good))


def text(report: Mapping[str, Any], title: str) -> str:
    """The report in lines for people."""
    best, seconds = report["best"], report["seconds"]
    known = "" if best["accuracy"] is None else f", accuracy {best['accuracy']:.2f} %"
    lines = [
        f"scored         {title}: {report['architectures']} architectures, {report['distinct_scores']} distinct "
        f"scores, {report['not_finite']} not finite (ranked last)",
        f"seconds        {seconds['median']:.3f} an architecture (median), {seconds['total']:.1f} in total",
        f"best score     {best['score']}{known}; {best['equals']} others have it too",
        f"rank, size     Spearman {_shown(report['spearman_parameters'])} with parameters, "
        f"{_shown(report['spearman_macs'])} with multiply-adds",
        f"benchmark      {report['benchmark']}"
        + (f" ({report['with_accuracy']} architectures)" if report["with_accuracy"] else ""),
    ]
    if "spearman" in report:
        lines.append(f"Spearman       {_interval(report['spearman'])}")
        lines.append(f"Kendall tau-b  {_interval(report['kendall_tau_b'])}")
        for row in report["top"]:
            lines.append(
                f"top {row['k']:<10} best accuracy {_interval(row['accuracy'], 2)} % of "
                f"{report['best_possible_accuracy']:.2f}; {_interval(row['overlap'], 2)} of them among the true ones"
            )
        lines.append(f"[low, high] are 95 % intervals of a bootstrap with {report['resamples']} resamples")
    return "\n".join(lines) + "\n"


def _plain(interval: Interval) -> dict[str, Any]:
    return {"value": _number(interval.value), "interval": [_number(interval.low), _number(interval.high)]}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shown(value: float | None, digits: int = 3) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"


def _interval(found: Mapping[str, Any], digits: int = 3) -> str:
    low, high = found["interval"]
    return f"{_shown(found['value'], digits)} [{_shown(low, digits)}, {_shown(high, digits)}]"
