"""Descriptions of all benchmarks by the notation of their space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.benchmarks.benchmark_spaces import DATASETS
from nas.benchmarks.nas_bench_301.coverage import check_coverage
from nas.benchmarks.trans_nas_bench_101.tasks import TASKS, quantity
from nas.spaces.base import Space
from nas.spaces.darts.notation import NOTATION as DARTS
from nas.spaces.nas_bench_1shot1.notation import NOTATION as NAS_BENCH_1SHOT1
from nas.spaces.nas_bench_101.notation import NOTATION as NAS_BENCH_101
from nas.utils.user_path import user_path


@dataclass(frozen=True)
class Description:
    """Protocol of a benchmark.

    Attributes:
        title: name in messages.
        datasets: data sets or tasks; the first one is the default in reports.
        splits: splits in reports.
        query_epochs: length of the trainings that a search usually queries; None: that of ``Benchmark.report_epochs``.
        predicted: True if accuracies are predictions of a model.
        best_epoch: True if values belong to the best validation epoch, not to the last epoch.
        check_space: raises NasError for a space of this notation that the benchmark does not cover; None if it covers
            all of them.
    """

    title: str
    datasets: tuple[str, ...]
    splits: tuple[str, ...]
    query_epochs: int | None
    predicted: bool = False
    best_epoch: bool = False
    check_space: Callable[[Space], None] | None = None

    def describe(self, dataset: str, epochs: int) -> str:
        """Return the data set, length of training and averaging of the reported accuracies."""
        if self.best_epoch:
            return f"{dataset}, {quantity(dataset, 'valid').title}, best of {epochs} epochs"
        return f"{dataset}, {epochs} epochs, {'predicted' if self.predicted else 'mean over seeds'}"

    def in_percent(self, dataset: str) -> bool:
        """Return whether the reported accuracies of a data set are percentages."""
        return not self.best_epoch or bool(quantity(dataset, "valid").unit)

    def label(self, dataset: str, split: str, lengths: Sequence[int]) -> str:
        """Return the name of the accuracies of a data set and split, and their unit."""
        epochs = f"{' or '.join(map(str, lengths))} epochs"
        if self.best_epoch:
            title, unit, _ = quantity(dataset, split)
            return f"{dataset} {split.partition('_')[0]} {title}, best of {epochs}{unit}"
        return f"{'predicted ' if self.predicted else ''}{dataset} {split} accuracy after {epochs} (%)"


SPLITS = ("valid", "test")
BENCHMARKS: Mapping[str, Description] = {
    "nas_bench_201": Description("NAS-Bench-201", tuple(DATASETS), SPLITS, 12),
    "nats_size": Description("the size space of NATS-Bench", tuple(DATASETS), SPLITS, 12),
    NAS_BENCH_101: Description("NAS-Bench-101", ("cifar10",), SPLITS, 108),
    NAS_BENCH_1SHOT1: Description("NAS-Bench-101", ("cifar10",), SPLITS, 108),
    DARTS: Description("NAS-Bench-301", ("cifar10",), ("valid",), 100, predicted=True, check_space=check_coverage),
    **{
        f"trans_nas_bench_101_{space}": Description(
            f"TransNAS-Bench-101 ({space})", tuple(TASKS), SPLITS, None, best_epoch=True
        )
        for space in ("micro", "macro")
    },
}
"""Description of the benchmark of each space, by notation."""
STORED_AS: Mapping[str, str] = {NAS_BENCH_1SHOT1: NAS_BENCH_101}
"""Notation of the file that contains the architectures of a space, if it is that of another space."""


def benchmark_directories(root: str | Path, notation: str) -> list[Path]:
    """Return the directories that may contain the benchmark of a space: ``root`` and ``root``/NOTATION of its file."""
    base = user_path(root)
    return [base, base / STORED_AS.get(notation, notation)]
