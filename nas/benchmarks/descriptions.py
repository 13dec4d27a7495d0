"""Descriptions of all benchmarks by the notation of their space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.benchmarks.benchmark_spaces import DATASETS
from nas.spaces.darts.notation import NOTATION as DARTS
from nas.spaces.nas_bench_1shot1.notation import NOTATION as NAS_BENCH_1SHOT1
from nas.spaces.nas_bench_101.notation import NOTATION as NAS_BENCH_101


@dataclass(frozen=True)
class Description:
    """Protocol of a benchmark.

    Attributes:
        title: Name in messages.
        datasets: Data sets or tasks; the first one is the default in reports.
        splits: Splits in reports.
        query_epochs: Length of the trainings that a search usually queries.
        report_epochs: Length of the trainings that papers report.
        predicted: True if accuracies are predictions of a model.
    """

    title: str
    datasets: tuple[str, ...]
    splits: tuple[str, ...]
    query_epochs: int
    report_epochs: int
    predicted: bool = False

    def describe(self, dataset: str) -> str:
        """Return the data set, length of training and averaging of the reported accuracies."""
        return f"{dataset}, {self.report_epochs} epochs, {'predicted' if self.predicted else 'mean over seeds'}"


SPLITS = ("valid", "test")
BENCHMARKS: Mapping[str, Description] = {
    "nas_bench_201": Description("NAS-Bench-201", tuple(DATASETS), SPLITS, 12, 200),
    "nats_size": Description("the size space of NATS-Bench", tuple(DATASETS), SPLITS, 12, 90),
    NAS_BENCH_101: Description("NAS-Bench-101", ("cifar10",), SPLITS, 108, 108),
    NAS_BENCH_1SHOT1: Description("NAS-Bench-101", ("cifar10",), SPLITS, 108, 108),
    DARTS: Description("NAS-Bench-301", ("cifar10",), ("valid",), 100, 100, predicted=True),
}
"""Description of the benchmark of each space, by notation."""
STORED_AS: Mapping[str, str] = {NAS_BENCH_1SHOT1: NAS_BENCH_101}
"""Notation of the file that contains the architectures of a space, if it is that of another space."""


def benchmark_directories(root: str | Path, notation: str) -> list[Path]:
    """Return the directories that may contain the benchmark of a space: ``root`` and ``root``/NOTATION of its file."""
    base = Path(root).expanduser()
    return [base, base / STORED_AS.get(notation, notation)]
