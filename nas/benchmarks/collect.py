"""From the benchmark's own records to columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.benchmarks import layout
from nas.benchmarks.kinds import Kind
from nas.utils.errors import NasError


class Columns:
    """The numbers of all architectures seen so far, 8 bytes each, by their column in the file."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.names: dict[int, str] = {}
        self.values: dict[str, NDArray[np.float64]] = {}
        self._latency_of: dict[str, int] = {}

    def add(self, record: Mapping[str, Any], where: str) -> None:
        """Takes in one architecture's trainings of one length. Raises NasError, naming ``where``, if it is spoiled."""
        try:
            index, name = record["arch_index"], record["arch_str"]
            if not isinstance(index, int) or not 0 <= index < self.kind.size or self.names.get(index, name) != name:
                raise ValueError(f"architecture {index} '{name}'")
            for run, seeds in record["dataset_seed"].items():
                if run not in layout.RUNS:
                    raise ValueError(f"data set '{run}'")
                self._run(index, run, {seed: record["all_results"][run, seed] for seed in seeds})
            self.names[index] = name
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            raise NasError(
                f"{where} has another layout than the benchmark's records ({type(error).__name__}: {error})"
            ) from None

    def _run(self, index: int, run: str, trials: Mapping[int, Mapping[str, Any]]) -> None:
        (epochs,) = {int(trial["epochs"]) for trial in trials.values()}
        last = epochs - 1
        seconds: dict[str, list[float]] = {}
        for seed, trial in trials.items():
            accuracies = {"train": trial["train_acc1es"][last]}
            for part in layout.SETS[1:]:
                if f"{part}@{last}" in trial["eval_acc1es"]:
                    accuracies[part] = trial["eval_acc1es"][f"{part}@{last}"]
            for part, value in accuracies.items():
                self._put(layout.accuracy_column(epochs, run, int(seed), part), index, value)
            for part, value in _seconds(trial).items():
                seconds.setdefault(part, []).append(value)
        for part, found in seconds.items():
            self._put(layout.seconds_column(epochs, run, part), index, fmean(found))
        measured = [fmean(trial["latency"]) for trial in trials.values() if trial.get("latency")]
        positive = [value for value in measured if value > 0]
        if positive and epochs >= self._latency_of.get(run, 0):
            self._latency_of[run] = epochs
            self._put(layout.latency_column(run), index, fmean(positive))

    def _put(self, column: str, index: int, value: float) -> None:
        if column not in self.values:
            self.values[column] = np.full(self.kind.size, np.nan)
        self.values[column][index] = value


def empty(record: dict[str, Any]) -> None:
    """Lets go of the trainings of a record that was taken in, though something may still hold its parts."""
    for trial in record.pop("all_results").values():
        for part in trial.values():
            if isinstance(part, dict | list):
                part.clear()
        trial.clear()


def check_names(kind: Kind, stated: Sequence[str], found: Mapping[int, str], where: str) -> None:
    """Raises NasError where the list of architectures is not that of the space, or a record is not what it says."""
    expected = set(kind.names())
    if len(stated) != kind.size or set(stated) != expected:
        raise NasError(
            f"{where} lists {len(stated):,} architectures, {len(expected & set(stated)):,} of them in {kind.title}, "
            f"which has {kind.size:,}: it is of another version"
        )
    for index, name in found.items():
        if stated[index] != name:
            raise NasError(f"{where} has {stated[index]} as architecture {index}, its record is of {name}")


def _seconds(trial: Mapping[str, Any]) -> dict[str, float]:
    """The mean seconds of an epoch and of each evaluation."""
    times: dict[str, list[float]] = {}
    if trial.get("train_times"):
        times["train"] = list(trial["train_times"].values())
    for key, value in (trial.get("eval_times") or {}).items():
        part = key.partition("@")[0]
        if part in layout.SETS:
            times.setdefault(part, []).append(value)
    return {part: fmean(values) for part, values in times.items()}
