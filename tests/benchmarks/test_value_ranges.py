"""Impossible values in a benchmark whose checksum is valid, and in a release that is converted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nas.benchmarks import convert
from nas.benchmarks.find import open_table
from nas.benchmarks.value_ranges import PERCENT, check_values
from nas.spaces.nas_bench_201.notation import parse
from nas.utils.errors import NasError
from tests.support.nats_tools import TSS, compressed_pickle, record_content, shuffled_names, write_directory

pytestmark = pytest.mark.usefixtures("small_spaces")
QUERIES = {
    "200/cifar10-valid/777/x-valid": lambda table, g: table.accuracy(g, "cifar10", "valid", 200, "mean"),
    "200/cifar10/888/ori-test": lambda table, g: table.accuracy(g, "cifar10", "test", 200, 888),
    "200/cifar10-valid/train-seconds": lambda table, g: table.simulated_seconds(g, "cifar10", 200),
    "cifar100/latency-seconds": lambda table, g: table.latency(g, "cifar100"),
}


def forge(path: Path, column: str, value: float) -> None:
    """Replace a value of the last row, and write the file with a valid checksum."""
    table = pq.read_table(path)
    values = table[column].to_pylist()[:-1] + [value]
    schema = table.schema.remove_metadata().with_metadata(
        {key: text for key, text in table.schema.metadata.items() if key != b"nas-blake2b"}
    )
    columns = {name: pa.array(values) if name == column else table[name] for name in table.column_names}
    convert.write_table(pa.table(columns).replace_schema_metadata(schema.metadata), path)


@pytest.mark.parametrize("column", QUERIES)
@pytest.mark.parametrize("value", [-1.0, math.inf, -math.inf, 1e300])
def test_query_refuses_impossible_value_of_any_architecture(
    column: str, value: float, tss_release: Path, tmp_path: Path
) -> None:
    path, genotype = tmp_path / "a.parquet", parse(shuffled_names("nas_bench_201")[3])
    convert.convert(tss_release, path)
    assert QUERIES[column](open_table(path), genotype) > 0
    forge(path, column, value)
    with pytest.raises(NasError, match=r"^benchmark: .*a\.parquet has the value .* Convert the published benchmark"):
        QUERIES[column](open_table(path), genotype)


def test_missing_values_are_accepted() -> None:
    for values in ([], [math.nan], [0.0, math.nan, 100.0]):
        array = np.array(values, dtype=np.float64)
        assert check_values(array, PERCENT, "accuracies", Path("a")) is array


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("eval_acc1es", {"x-valid@11": 150.0, "ori-test@11": 1.0, "x-test@11": 1.0}),
        ("train_acc1es", {11: math.nan}),
        ("train_times", {11: -5.0}),
        ("eval_times", {"x-valid@11": math.inf}),
        ("latency", [math.inf]),
    ],
)
def test_convert_refuses_impossible_value(key: str, value: Any, tmp_path: Path) -> None:
    source, destination = write_directory("nas_bench_201", tmp_path), tmp_path / "a.parquet"
    record = record_content("nas_bench_201", 5)
    for training in record["12"]["all_results"].values():
        training[key] = value
    (source / "000005.pickle.pbz2").write_bytes(compressed_pickle(record))
    with pytest.raises(NasError, match=rf"{TSS}.* is not a number (of at least 0|from 0 to 100)\)"):
        convert.convert(source, destination)
    assert not destination.exists()
