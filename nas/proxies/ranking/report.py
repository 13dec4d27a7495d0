"""Report of a ranking: correlation with size and with benchmark accuracies, and the best architectures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import nas.benchmarks
from nas.benchmarks.benchmark import Benchmark
from nas.benchmarks.descriptions import BENCHMARKS
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
from nas.proxies.ranking.score_log import ScoreRecord, encode_float
from nas.spaces.base import Space
from nas.utils.errors import NasError, unknown
from nas.utils.ranges import COUNT, check_ranges

SPLITS = ("valid", "test", "train", "valtest", "test_of_valid_run", "train_of_valid_run")


class BenchmarkAccuracies(NamedTuple):
    """Benchmark accuracies of the ranked architectures.

    Attributes:
        values: accuracies or other values of the benchmark [architectures], NaN if not stored.
        description: source of the accuracies, or the reason why there are none.
        axis: label of an axis.
        unit: unit to print, empty if the values are no percentages.
    """

    values: Values
    description: str
    axis: str = "accuracy in percent"
    unit: str = " %"

    @property
    def available(self) -> NDArray[np.bool_]:
        """Mask [architectures] of the stored accuracies."""
        return np.isfinite(self.values)


@check_ranges(epochs=COUNT, top=COUNT, resamples=COUNT)
class RankingReport:
    """Comparison of scores with a benchmark.

    Args:
        root: directory of the benchmark's table.
        dataset: data set of the accuracies.
        split: split of the accuracies.
        epochs: length of the benchmark's training; None selects the usual length in papers.
        top: values of k for the statistics of the top k.
        resamples: number of bootstrap resamples.

    Raises:
        NasError: if ``top`` or ``resamples`` is out of range.
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
        if not top:
            raise NasError("ranking.report.top=[]: needs at least one k. Use [1,10,100].")
        self.root = root
        self.dataset = dataset
        self.split = split
        self.epochs = epochs
        self.top = tuple(top)
        self.resamples = resamples

    def check(self, space: Space, dataset: str) -> str | None:
        """Check before the ranking whether the benchmark has the requested accuracies.

        Args:
            space: space of the architectures.
            dataset: data set of the ranking.

        Returns:
            The reason why there are no accuracies, if the options have their default values; else None.

        Raises:
            NasError: if an option was set to a value that does not exist or that the benchmark does not contain.
        """
        if self.split not in SPLITS:
            raise unknown("ranking.report.split", self.split, SPLITS)
        datasets = dict.fromkeys(name for about in BENCHMARKS.values() for name in about.datasets)
        if self.dataset != dataset and self.dataset not in datasets:
            raise unknown("ranking.report.dataset", self.dataset, datasets)
        try:
            benchmark = nas.benchmarks.find_benchmark(self.root, space.notation)
            if benchmark is None:
                return self._no_benchmark(space)
            benchmark.check(self.dataset, self.split, self._epochs(benchmark), "mean")
        except NasError as error:
            if (self.dataset, self.split, self.epochs) == (dataset, "test", None):
                return f"no accuracies: {error}"
            raise NasError(f"ranking.report: {error}") from None
        return None

    def _epochs(self, benchmark: Benchmark) -> int:
        return benchmark.report_epochs(self.dataset) if self.epochs is None else self.epochs

    def _no_benchmark(self, space: Space) -> str:
        return f"no benchmark of space '{space.name}' in {self.root}"

    def find_accuracies(self, space: Space, records: Sequence[ScoreRecord]) -> BenchmarkAccuracies:
        """Return the benchmark accuracies of the architectures, in their order."""
        values = np.full(len(records), np.nan)
        try:
            benchmark = nas.benchmarks.find_benchmark(self.root, space.notation)
            if benchmark is None:
                return BenchmarkAccuracies(values, self._no_benchmark(space))
            epochs = self._epochs(benchmark)
            benchmark.check(self.dataset, self.split, epochs, "mean")
        except NasError as error:
            return BenchmarkAccuracies(values, f"no accuracies: {error}")
        for i, record in enumerate(records):
            try:
                values[i] = benchmark.accuracy(
                    space.parse(record.architecture), self.dataset, self.split, epochs, "mean"
                )
            except NasError:
                continue  # the benchmark does not contain every architecture of the space
        about = BENCHMARKS[space.notation]
        if about.best_epoch:
            label = about.label(self.dataset, self.split, [epochs])
            return BenchmarkAccuracies(values, label, label, " %" if about.in_percent(self.dataset) else "")
        description = f"{self.split} accuracy on {self.dataset} after {epochs} epochs, mean of the benchmark's seeds"
        return BenchmarkAccuracies(values, description)

    def __call__(
        self, records: Sequence[ScoreRecord], higher_is_better: bool, accuracies: BenchmarkAccuracies
    ) -> dict[str, Any]:
        """Return the report as plain values; intervals are [low, high]."""
        scores = to_higher_is_better([record.score for record in records], higher_is_better)
        seconds = [record.seconds for record in records]
        available = accuracies.available
        report: dict[str, Any] = {
            "architectures": len(records),
            "not_finite": int(np.isinf(scores).sum()),
            "distinct_scores": len(np.unique(scores)),
            "seconds": {"median": float(np.median(seconds)), "total": round(sum(seconds), 3)},
            "spearman_parameters": _finite(spearman(scores, np.array([float(r.parameters) for r in records]))),
            "spearman_macs": _finite(spearman(scores, np.array([float(r.macs) for r in records]))),
            "best": self._best(records, scores, accuracies),
            "benchmark": accuracies.description,
            "accuracies_of": self.dataset,
            "unit": accuracies.unit,
            "split": self.split,
            "with_accuracy": int(available.sum()),
        }
        if available.any():
            report |= self._compare(scores[available], accuracies.values[available])
        return report

    def _compare(self, scores: Values, accuracies: Values) -> dict[str, Any]:
        """Return correlations and statistics of the top k, with intervals."""
        sizes = [k for k in self.top if k <= len(scores)]
        statistics: dict[str, Statistic] = {"spearman": spearman, "kendall": kendall}
        for k in sizes:
            statistics |= {f"accuracy {k}": partial(top_accuracy, k=k), f"overlap {k}": partial(top_overlap, k=k)}
        intervals = bootstrap(scores, accuracies, statistics, self.resamples)
        return {
            "spearman": _as_dict(intervals["spearman"]),
            "kendall_tau_b": _as_dict(intervals["kendall"]),
            "top": [
                {
                    "k": k,
                    "accuracy": _as_dict(intervals[f"accuracy {k}"]),
                    "overlap": _as_dict(intervals[f"overlap {k}"]),
                }
                for k in sizes
            ],
            "best_possible_accuracy": float(accuracies.max()),
            "resamples": self.resamples,
        }

    @staticmethod
    def _best(records: Sequence[ScoreRecord], scores: Values, accuracies: BenchmarkAccuracies) -> dict[str, Any]:
        first = best_index(scores)
        record = records[first]
        return {
            "architecture": record.architecture,
            "index": record.index,
            "score": encode_float(record.score),
            "accuracy": _finite(float(accuracies.values[first])),
            "equals": int((scores == scores[first]).sum()) - 1,
        }


def best_index(scores: Values) -> int:
    """Return the position of the highest score, the first of equals."""
    return int(np.argmax(scores))


def format_report(report: Mapping[str, Any], title: str) -> str:
    """Format the report as text."""
    best, seconds, unit = report["best"], report["seconds"], report["unit"]
    digits = 2 if unit else 4
    accuracy = "" if best["accuracy"] is None else f", accuracy {best['accuracy']:.{digits}f}{unit}"
    lines = [
        f"ranked         {title}: {report['architectures']} architectures, {report['distinct_scores']} distinct "
        f"scores, {report['not_finite']} not finite (ranked last)",
        f"seconds        {seconds['median']:.3f} per architecture (median), {seconds['total']:.1f} of all measurements",
        f"best score     {_format_score(best['score'])}{accuracy}; shared by {best['equals']} others",
        f"size           Spearman {_format(report['spearman_parameters'])} with parameters, "
        f"{_format(report['spearman_macs'])} with MACs",
        f"benchmark      {report['benchmark']}"
        + (f" ({report['with_accuracy']} architectures)" if report["with_accuracy"] else ""),
    ]
    if "spearman" in report:
        lines.append(f"Spearman       {_format_interval(report['spearman'])}")
        lines.append(f"Kendall tau-b  {_format_interval(report['kendall_tau_b'])}")
        for row in report["top"]:
            lines.append(
                f"top {row['k']:<10} best accuracy {_format_interval(row['accuracy'], digits)}{unit} of "
                f"{report['best_possible_accuracy']:.{digits}f}; overlap with the true top {row['k']} "
                f"{_format_interval(row['overlap'], 2)}"
            )
        lines.append(f"[low, high]: 95 % bootstrap intervals, {report['resamples']} resamples")
    return "\n".join(lines) + "\n"


def _format_score(score: float | str) -> str:
    return score if isinstance(score, str) else f"{score:.6g}"


def _as_dict(interval: Interval) -> dict[str, Any]:
    return {"value": _finite(interval.value), "interval": [_finite(interval.low), _finite(interval.high)]}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _format(value: float | None, digits: int = 3) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"


def _format_interval(interval: Mapping[str, Any], digits: int = 3) -> str:
    low, high = interval["interval"]
    return f"{_format(interval['value'], digits)} [{_format(low, digits)}, {_format(high, digits)}]"
