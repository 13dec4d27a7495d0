"""The reader of the published means of NAS-Bench-201: a table put together from public sources."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from nas.benchmarks.benchmark import Values
from nas.benchmarks.kinds import KINDS
from nas.benchmarks.table import Held, Table, open_parquet
from nas.utils.errors import NasError

HELD = {
    ("cifar10", "valid", 200): Held({}, "cifar10valid_valid_acc_200", every=False),
    ("cifar10", "test", 200): Held({}, "cifar10_test_acc_200", every=False),
    ("cifar10", "test_of_valid_run", 200): Held(
        {888: "cifar10valid_test_acc_200_seed888"}, "cifar10valid_test_acc_200", every=False
    ),
    ("cifar10", "train_of_valid_run", 200): Held({}, "cifar10valid_train_acc_200", every=False),
    ("cifar100", "valid", 200): Held({}, "cifar100_valid_acc_200_partial", every=False),
    ("cifar100", "test", 200): Held({888: "cifar100_test_acc_200_seed888"}, "cifar100_test_acc_200", every=False),
    ("imagenet16_120", "valid", 200): Held({}, "imagenet16_valid_acc_200_partial", every=False),
    ("imagenet16_120", "test", 200): Held(
        {888: "imagenet16_test_acc_200_seed888"}, "imagenet16_test_acc_200", every=False
    ),
    ("cifar10", "valid", 12): Held({}, "cifar10valid_valid_acc_12", every=False),
    ("cifar10", "test", 12): Held({111: "cifar10_test_acc_12"}),
    ("cifar100", "valid", 12): Held({111: "cifar100_valid_acc_12"}),
    ("cifar100", "test", 12): Held({111: "cifar100_test_acc_12"}),
    ("imagenet16_120", "valid", 12): Held({111: "imagenet16_valid_acc_12"}),
    ("imagenet16_120", "test", 12): Held({111: "imagenet16_test_acc_12"}),
}
TIMES = {
    "cifar10": ("cifar10valid_train_time_200", 25_000, "cifar10_latency_s"),
    "cifar100": ("cifar100_train_time_200_derived", 5_000, "cifar100_latency_s"),
    "imagenet16_120": ("imagenet16_train_time_200_derived", 3_000, "imagenet16_latency_s"),
}
"""For each data set the seconds of 200 epochs, the number of validation images, and the latency."""
EVALUATED = ("cifar10valid_valid_time_per_eval", "cifar10valid_test_time_per_eval")
NAMES = ("arch_index", "arch_str")
COLUMNS = {*NAMES, *EVALUATED, *(column for column, _, _ in TIMES.values()), *(name for _, _, name in TIMES.values())}
COLUMNS |= {name for held in HELD.values() for name in (held.mean, *held.seeds.values()) if name is not None}


class MeansTable(Table):
    """The table of means over seeds. Single seeds are held of a few columns only, validation on CIFAR-100 and
    ImageNet16-120 after 200 epochs of about 300 architectures.

    Times follow the benchmark's own rule: training in proportion to the images, 35,000 evaluated images (validation
    and test of CIFAR-10) giving the time of one. Raises NasError where the file is not that table.
    """

    def __init__(self, path: str | Path, file: pq.ParquetFile | None = None) -> None:
        path = Path(path)
        file = open_parquet(path) if file is None else file
        missing = sorted(COLUMNS - set(file.schema_arrow.names))
        if missing:
            raise NasError(f"benchmark: {path} is not the table of means: it has no column {missing[0]}")
        super().__init__(path, file, KINDS["nas_bench_201"], HELD, NAMES)

    def _seconds(self, dataset: str, epochs: int) -> Values:
        train, images, _ = TIMES[dataset]
        image = (self.column(EVALUATED[0]) + self.column(EVALUATED[1])) / 35_000
        return self.column(train) * (epochs / 200) + image * images

    def _latency(self, dataset: str) -> Values:
        return self.column(TIMES[dataset][2])
