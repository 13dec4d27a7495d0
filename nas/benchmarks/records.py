"""Columns of a converted benchmark, collected from the benchmark's own records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.benchmarks import parquet_schema
from nas.benchmarks.benchmark_spaces import BenchmarkSpace
from nas.benchmarks.value_ranges import PERCENT
from nas.utils.errors import NasError
from nas.utils.ranges import NOT_NEGATIVE, Range


class RecordColumns:
    """Numbers of all architectures added so far, as one float64 array per column.

    Attributes:
        space: space of the benchmark.
        names: native string of each added architecture, by index.
        values: columns [architectures] by name (``parquet_schema``).
    """

    def __init__(self, space: BenchmarkSpace) -> None:
        self.space = space
        self.names: dict[int, str] = {}
        self.values: dict[str, NDArray[np.float64]] = {}
        self._latency_epochs: dict[str, int] = {}

    def add(self, record: Mapping[str, Any], source: str) -> None:
        """Add the trainings of one architecture and length. Raise NasError with ``source`` if a record is damaged."""
        try:
            index, name = record["arch_index"], record["arch_str"]
            if not isinstance(index, int) or not 0 <= index < self.space.size or self.names.get(index, name) != name:
                raise ValueError(f"architecture {index} '{name}'")
            for run, seeds in record["dataset_seed"].items():
                if run not in parquet_schema.RUNS:
                    raise ValueError(f"data set '{run}'")
                self._add_run(index, run, {seed: record["all_results"][run, seed] for seed in seeds})
            self.names[index] = name
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            raise NasError(
                f"{source} has another layout than the benchmark's records ({type(error).__name__}: {error})"
            ) from None

    def _add_run(self, index: int, run: str, trainings: Mapping[int, Mapping[str, Any]]) -> None:
        (epochs,) = {int(training["epochs"]) for training in trainings.values()}
        last = epochs - 1
        seconds: dict[str, list[float]] = {}
        for seed, training in trainings.items():
            accuracies = {"train": training["train_acc1es"][last]}
            for image_set in parquet_schema.SETS[1:]:
                if f"{image_set}@{last}" in training["eval_acc1es"]:
                    accuracies[image_set] = training["eval_acc1es"][f"{image_set}@{last}"]
            for image_set, value in accuracies.items():
                column = parquet_schema.accuracy_column(epochs, run, int(seed), image_set)
                self._put(column, index, _number(value, PERCENT, "accuracy"))
            for image_set, value in _mean_seconds(training).items():
                seconds.setdefault(image_set, []).append(value)
        for image_set, durations in seconds.items():
            mean = _number(fmean(durations), NOT_NEGATIVE, "time")
            self._put(parquet_schema.seconds_column(epochs, run, image_set), index, mean)
        measured = [fmean(training["latency"]) for training in trainings.values() if training.get("latency")]
        positive = [_number(value, NOT_NEGATIVE, "latency") for value in measured if value > 0]
        if positive and epochs >= self._latency_epochs.get(run, 0):
            self._latency_epochs[run] = epochs
            self._put(parquet_schema.latency_column(run), index, fmean(positive))

    def _put(self, column: str, index: int, value: float) -> None:
        if column not in self.values:
            self.values[column] = np.full(self.space.size, np.nan)
        self.values[column][index] = value


def clear_record(record: dict[str, Any]) -> None:
    """Free the trainings of an added record, even if its parts are still referenced."""
    for training in record.pop("all_results").values():
        for part in training.values():
            if isinstance(part, dict | list):
                part.clear()
        training.clear()


def check_names(space: BenchmarkSpace, listed: Sequence[str], name_of_index: Mapping[int, str], source: str) -> None:
    """Check the list of architectures of a release.

    Raises:
        NasError: if the list differs from the space, or a record names another architecture than the list.
    """
    expected = set(space.all_native())
    if len(listed) != space.size or set(listed) != expected:
        raise NasError(
            f"{source} lists {len(listed):,} architectures, {len(expected & set(listed)):,} of them in {space.title}, "
            f"which has {space.size:,}: another version of the benchmark"
        )
    for index, name in name_of_index.items():
        if listed[index] != name:
            raise NasError(f"{source} lists {listed[index]} as architecture {index}, its record is of {name}")


def _number(value: Any, allowed: Range, name: str) -> float:
    """Return a number. Raise ValueError if it is outside of its range."""
    number = float(value)
    if number not in allowed:
        raise ValueError(f"{name} {number:g}, which is not {allowed}")
    return number


def _mean_seconds(training: Mapping[str, Any]) -> dict[str, float]:
    """Return the mean seconds of an epoch ("train") and of an evaluation on each set of images."""
    times: dict[str, list[float]] = {}
    if training.get("train_times"):
        times["train"] = list(training["train_times"].values())
    for key, value in (training.get("eval_times") or {}).items():
        image_set = key.partition("@")[0]
        if image_set in parquet_schema.SETS:
            times.setdefault(image_set, []).append(value)
    return {image_set: fmean(values) for image_set, values in times.items()}
