"""Reader of a table of NAS-Bench-201 means, compiled from public sources."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow.parquet as pq

from nas.benchmarks.benchmark import Values
from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES
from nas.benchmarks.parquet_table import ParquetTable, open_parquet
from nas.benchmarks.stored_columns import StoredColumns
from nas.utils.errors import NasError

STORED = {
    ("cifar10", "valid", 200): StoredColumns({}, "cifar10valid_valid_acc_200", complete=False),
    ("cifar10", "test", 200): StoredColumns({}, "cifar10_test_acc_200", complete=False),
    ("cifar10", "test_of_valid_run", 200): StoredColumns(
        {888: "cifar10valid_test_acc_200_seed888"}, "cifar10valid_test_acc_200", complete=False
    ),
    ("cifar10", "train_of_valid_run", 200): StoredColumns({}, "cifar10valid_train_acc_200", complete=False),
    ("cifar100", "valid", 200): StoredColumns({}, "cifar100_valid_acc_200_partial", complete=False),
    ("cifar100", "test", 200): StoredColumns(
        {888: "cifar100_test_acc_200_seed888"}, "cifar100_test_acc_200", complete=False
    ),
    ("imagenet16_120", "valid", 200): StoredColumns({}, "imagenet16_valid_acc_200_partial", complete=False),
    ("imagenet16_120", "test", 200): StoredColumns(
        {888: "imagenet16_test_acc_200_seed888"}, "imagenet16_test_acc_200", complete=False
    ),
    ("cifar10", "valid", 12): StoredColumns({}, "cifar10valid_valid_acc_12", complete=False),
    ("cifar10", "test", 12): StoredColumns({111: "cifar10_test_acc_12"}),
    ("cifar100", "valid", 12): StoredColumns({111: "cifar100_valid_acc_12"}),
    ("cifar100", "test", 12): StoredColumns({111: "cifar100_test_acc_12"}),
    ("imagenet16_120", "valid", 12): StoredColumns({111: "imagenet16_valid_acc_12"}),
    ("imagenet16_120", "test", 12): StoredColumns({111: "imagenet16_test_acc_12"}),
}
TIMES = {
    "cifar10": ("cifar10valid_train_time_200", 25_000, "cifar10_latency_s"),
    "cifar100": ("cifar100_train_time_200_derived", 5_000, "cifar100_latency_s"),
    "imagenet16_120": ("imagenet16_train_time_200_derived", 3_000, "imagenet16_latency_s"),
}
"""Column of the seconds of 200 epochs, number of validation images, and column of the latency, for each data set."""
EVALUATION_SECONDS = ("cifar10valid_valid_time_per_eval", "cifar10valid_test_time_per_eval")
INDEX_AND_NAME = ("arch_index", "arch_str")
KNOWN_FILES = {3_466_913: "26987c15abd6b9882acbcf7c1ae6cdd75378eadf9ccfc54e7c24857e977b0de5"}
"""Checksums (sha256) of the known tables, by their size in bytes. The tables contain none."""
COLUMNS = {
    *INDEX_AND_NAME,
    *EVALUATION_SECONDS,
    *(column for column, _, _ in TIMES.values()),
    *(name for _, _, name in TIMES.values()),
    *(name for stored in STORED.values() for name in (stored.mean, *stored.seeds.values()) if name is not None),
}


class NasBench201Means(ParquetTable):
    """Means over seeds of NAS-Bench-201.

    Single seeds are stored for a few columns only. Validation accuracy on CIFAR-100 and ImageNet16-120 after 200 epochs
    is stored for about 300 architectures.

    Times follow the benchmark's own rule. Training time is proportional to the number of images. The time per
    evaluated image is that of 35,000 images, the validation and test images of CIFAR-10. Raises NasError for any other
    file, and for a damaged copy of a known table.
    """

    def __init__(self, path: str | Path, file: pq.ParquetFile | None = None) -> None:
        path = Path(path)
        file = open_parquet(path) if file is None else file
        verified = _verify_known(path)
        missing = sorted(COLUMNS - set(file.schema_arrow.names))
        if missing:
            raise NasError(f"benchmark: {path} is not a table of NAS-Bench-201 means: column {missing[0]} is missing")
        super().__init__(path, file, BENCHMARK_SPACES["nas_bench_201"], STORED, INDEX_AND_NAME, verified)

    def _read_seconds(self, dataset: str, epochs: int) -> Values:
        train, images, _ = TIMES[dataset]
        per_image = (self.column(EVALUATION_SECONDS[0]) + self.column(EVALUATION_SECONDS[1])) / 35_000
        return self.column(train) * (epochs / 200) + per_image * images

    def _read_latency(self, dataset: str) -> Values:
        return self.column(TIMES[dataset][2])


def _verify_known(path: Path) -> bool:
    """Compare the checksum of a known table, and return whether the file is such a table."""
    expected = KNOWN_FILES.get(path.stat().st_size)
    if expected is not None and hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise NasError(f"benchmark: {path} is damaged (its checksum does not match). Copy the table again.")
    return expected is not None
