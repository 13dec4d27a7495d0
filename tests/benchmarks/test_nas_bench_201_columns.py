"""The columns that queries of a table of NAS-Bench-201 means read, in a small table with a number per column."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nas.benchmarks.nas_bench_201_means import COLUMNS, INDEX_AND_NAME, NasBench201Means
from nas.spaces.nas_bench_201.notation import from_index, native

ROWS = (7, 3000, 15)
ACCURACIES = [
    ("cifar10", "valid", 200, "mean", "cifar10valid_valid_acc_200"),
    ("cifar10", "test", 200, "mean", "cifar10_test_acc_200"),
    ("cifar10", "test_of_valid_run", 200, "mean", "cifar10valid_test_acc_200"),
    ("cifar10", "test_of_valid_run", 200, 888, "cifar10valid_test_acc_200_seed888"),
    ("cifar10", "train_of_valid_run", 200, "mean", "cifar10valid_train_acc_200"),
    ("cifar100", "valid", 200, "mean", "cifar100_valid_acc_200_partial"),
    ("cifar100", "test", 200, "mean", "cifar100_test_acc_200"),
    ("cifar100", "test", 200, 888, "cifar100_test_acc_200_seed888"),
    ("imagenet16_120", "valid", 200, "mean", "imagenet16_valid_acc_200_partial"),
    ("imagenet16_120", "test", 200, "mean", "imagenet16_test_acc_200"),
    ("imagenet16_120", "test", 200, 888, "imagenet16_test_acc_200_seed888"),
    ("cifar10", "valid", 12, "mean", "cifar10valid_valid_acc_12"),
    ("cifar10", "test", 12, 111, "cifar10_test_acc_12"),
    ("cifar100", "valid", 12, "mean", "cifar100_valid_acc_12"),
    ("cifar100", "test", 12, "mean", "cifar100_test_acc_12"),
    ("imagenet16_120", "valid", 12, "mean", "imagenet16_valid_acc_12"),
    ("imagenet16_120", "test", 12, "mean", "imagenet16_test_acc_12"),
]
TIMES = [
    ("cifar10", "cifar10valid_train_time_200", 25_000, "cifar10_latency_s"),
    ("cifar100", "cifar100_train_time_200_derived", 5_000, "cifar100_latency_s"),
    ("imagenet16_120", "imagenet16_train_time_200_derived", 3_000, "imagenet16_latency_s"),
]
EVALUATION = ("cifar10valid_valid_time_per_eval", "cifar10valid_test_time_per_eval")


def value(column: str, row: int) -> float:
    """Return a number between 10 and 90 that belongs to a column and a row."""
    return 10.0 + sorted(COLUMNS).index(column) + row / 4


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> NasBench201Means:
    path = tmp_path_factory.mktemp("table") / "means.parquet"
    columns: dict[str, list[object]] = {name: [value(name, row) for row in range(3)] for name in COLUMNS}
    columns |= {INDEX_AND_NAME[0]: list(ROWS), INDEX_AND_NAME[1]: [native(from_index(index)) for index in ROWS]}
    pq.write_table(pa.table(columns), path)
    return NasBench201Means(path)


@pytest.mark.parametrize(("dataset", "split", "epochs", "seed", "column"), ACCURACIES)
def test_accuracies_are_of_their_column(
    dataset: str, split: str, epochs: int, seed: int, column: str, table: NasBench201Means
) -> None:
    for row, index in enumerate(ROWS):
        assert table.accuracy(from_index(index), dataset, split, epochs, seed) == value(column, row)


@pytest.mark.parametrize(("dataset", "train", "images", "latency"), TIMES)
def test_times_follow_the_rule_of_the_benchmark(
    dataset: str, train: str, images: int, latency: str, table: NasBench201Means
) -> None:
    """Training time is proportional to the epochs; one pass over the validation images is added."""
    for row, index in enumerate(ROWS):
        per_image = sum(value(column, row) for column in EVALUATION) / 35_000
        for epochs in (200, 12):
            expected = value(train, row) * epochs / 200 + per_image * images
            assert table.simulated_seconds(from_index(index), dataset, epochs) == pytest.approx(expected, rel=1e-12)
        assert table.latency(from_index(index), dataset) == value(latency, row)
