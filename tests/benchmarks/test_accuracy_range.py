"""Ranges of benchmark accuracies: values beside the table, architectures that it lacks, and the file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from nas.benchmarks import convert, read_release
from nas.benchmarks.accuracy_range import AccuracyRange, AccuracyRangeQuery, format_ranges, read_ranges
from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES
from nas.benchmarks.find import open_table
from nas.utils.errors import NasError
from tests.support.nats_tools import SMALL, write_directory

SPACE = BENCHMARK_SPACES["nas_bench_201"]
MISSING = ("avg_pool_3x3",) * 6
"""An architecture that the small table lacks."""


def test_ranges_equal_the_values_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_release, "BENCHMARK_SPACES", SMALL)
    convert.convert(write_directory("nas_bench_201", tmp_path), tmp_path / "table.parquet")
    table = open_table(tmp_path / "table.parquet")
    samples = [SPACE.ops_of(table.genotype(table.architecture(row))) for row in (5, 9, 30, 5)]
    query = AccuracyRangeQuery(table, SPACE)
    found = query.ranges(7, [*samples, MISSING], samples[1])
    assert [line.dataset for line in found] == ["cifar10", "cifar100", "imagenet16_120"]
    for line in found:
        column = table.accuracies(line.dataset, "test", 200, "mean")
        values = column[[5, 9, 30, 5]]
        expected = [values.min(), values.mean(), values.max(), column[9], column.max()]
        assert line[2:7] == pytest.approx(expected, abs=1e-4)
        assert (line.epoch, line.samples) == (7, 4)
    for line in query.ranges(0, [MISSING], MISSING):
        assert line.samples == 0 and np.isnan(line[2:6]).all() and math.isfinite(line.optimum)


def test_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "accuracy_range.csv"
    assert read_ranges(path) == []
    lines = [AccuracyRange(e, "cifar10", 10.0, 80.5, 94.0, 93.25, 94.37, 100) for e in range(2)]
    path.write_text(format_ranges(lines))
    assert read_ranges(path) == lines
    with path.open("a") as file:
        file.write(format_ranges([AccuracyRange(2, "cifar10", *[math.nan] * 4, 94.37, 0)], header=False))
        file.write("3,cifar10,1")  # cut off by a kill
    *before, last = read_ranges(path)
    assert before == lines and path.read_text().splitlines()[3] == "2,cifar10,,,,,94.37,0"
    assert all(map(math.isnan, last[2:6])) and last.samples == 0
    path.write_text(path.read_text() + "\n")
    with pytest.raises(NasError, match="line 5 is damaged"):
        read_ranges(path)
