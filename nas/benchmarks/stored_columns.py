"""Columns of a benchmark that hold one kind of accuracy, and their names in messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.benchmarks.benchmark import Values


@dataclass(frozen=True)
class StoredColumns:
    """Columns of one (dataset, split, epochs).

    Attributes:
        seeds: column of each seed that is stored separately.
        mean: column of the mean over seeds, None if it is not stored.
        complete: whether ``seeds`` are all seeds of the benchmark.
    """

    seeds: Mapping[int, str]
    mean: str | None = None
    complete: bool = True


def quote_digits(value: object) -> str:
    """Return a value as given; a string of digits is quoted, since it is not a number."""
    return repr(value) if isinstance(value, str) and value.isdigit() else str(value)


def describe_training(dataset: str, split: str, epochs: int) -> str:
    """Return the data set, split and length of a training."""
    return f"{dataset} {split} after {epochs} epochs"


def describe_seeds(columns: StoredColumns) -> str:
    """Return the stored seeds of a training."""
    if not columns.seeds:
        return "only the mean over seeds"
    return f"the mean and {'each of ' if columns.complete else ''}seed {', '.join(map(str, sorted(columns.seeds)))}"


def mean_over_seeds(columns: Sequence[Values]) -> Values:
    """Return the means [architectures] of the values that are stored, NaN without any."""
    values = np.stack(columns)
    stored = ~np.isnan(values)
    count = stored.sum(axis=0)
    total = np.where(stored, values, 0.0).sum(axis=0)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    mean.setflags(write=False)
    return mean
