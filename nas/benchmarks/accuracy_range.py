"""Range of the benchmark accuracies of sampled architectures: accuracy_range.csv."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nas.benchmarks.benchmark import TabularBenchmark
from nas.benchmarks.benchmark_spaces import DATASETS, BenchmarkSpace
from nas.utils.errors import NasError
from nas.utils.json_lines import read_log

FILE = "accuracy_range.csv"
SPLIT = "test"
DECIMALS = 4

Ops = tuple[str, ...]
"""Op of each edge, in the order of ``BenchmarkSpace.edges``."""


class AccuracyRange(NamedTuple):
    """Benchmark accuracies in percent at one epoch and on one data set; NaN if the table does not contain them.

    Attributes:
        epoch: epoch, counted from 0.
        dataset: data set of the benchmark.
        minimum: lowest accuracy of the samples.
        mean: mean accuracy of the samples.
        maximum: highest accuracy of the samples.
        mode: accuracy of the mode of the distribution.
        optimum: highest accuracy of the benchmark.
        samples: number of samples that the table contains.
    """

    epoch: int
    dataset: str
    minimum: float
    mean: float
    maximum: float
    mode: float
    optimum: float
    samples: int


class AccuracyRangeQuery:
    """Queries for the accuracies of many architectures on all data sets of a benchmark.

    The accuracies are test accuracies after the training that papers report, averaged over seeds.

    Args:
        table: the benchmark.
        space: space of the benchmark.

    Raises:
        NasError: if the table has no such accuracies.
    """

    def __init__(self, table: TabularBenchmark, space: BenchmarkSpace) -> None:
        self.space = space
        self._table = table
        self._rows: dict[Ops, int | None] = {}
        self._columns = {}
        for dataset in DATASETS:
            try:
                self._columns[dataset] = table.accuracies(dataset, SPLIT, space.epochs, "mean")
            except NasError:  # the table does not contain the data set
                continue
        if not self._columns:
            raise NasError(f"benchmark: the table of {space.title} has no test accuracies after {space.epochs} epochs.")

    def ranges(self, epoch: int, samples: Sequence[Ops], mode: Ops) -> list[AccuracyRange]:
        """Return the range of the samples and the accuracy of the mode on each data set."""
        rows = [row for row in map(self._row, samples) if row is not None]
        mode_row, ranges = self._row(mode), []
        for dataset, column in self._columns.items():
            values = column[rows]
            values = values[~np.isnan(values)]
            low, mean, high = (_rounded(f(values)) if len(values) else math.nan for f in (np.min, np.mean, np.max))
            of_mode = math.nan if mode_row is None else _rounded(column[mode_row])
            optimum = _rounded(np.nanmax(column))
            ranges.append(AccuracyRange(epoch, dataset, low, mean, high, of_mode, optimum, len(values)))
        return ranges

    def _row(self, ops: Ops) -> int | None:
        """Return the row of an architecture, None if the table does not contain it."""
        if ops not in self._rows:
            try:
                self._rows[ops] = self._table.row(self.space.to_native(ops))
            except NasError:
                self._rows[ops] = None
        return self._rows[ops]


def _rounded(value: np.floating[Any]) -> float:
    return round(float(value), DECIMALS)


def format_ranges(ranges: Iterable[AccuracyRange], header: bool = True) -> str:
    """Return lines of accuracy_range.csv; NaN is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if header:
        writer.writerow(AccuracyRange._fields)
    for line in ranges:
        writer.writerow(["" if isinstance(x, float) and math.isnan(x) else x for x in line])
    return buffer.getvalue()


def read_ranges(path: Path, needed: int = 0) -> list[AccuracyRange]:
    """Read accuracy_range.csv, empty if the file is missing.

    Raises:
        NasError: if a line is damaged, or one of the first ``needed`` lines is missing.
    """
    fix = "Remove the file, or write it again with the command accuracy-range."
    return [line for line in read_log(path, _decode_line, fix, needed) if line is not None]


def _decode_line(text: str) -> AccuracyRange | None:
    """Return the values of a line, None for the header."""
    cells = next(csv.reader([text]))
    if tuple(cells) == AccuracyRange._fields:
        return None
    epoch, dataset, *numbers, samples = cells
    low, mean, high, mode, optimum = (float(cell) if cell else math.nan for cell in numbers)
    return AccuracyRange(int(epoch), dataset, low, mean, high, mode, optimum, int(samples))
