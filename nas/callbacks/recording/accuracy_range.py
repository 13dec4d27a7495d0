"""Benchmark accuracies of architectures sampled from the learned distribution, after each epoch (DrNAS)."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch

from nas import benchmarks
from nas.benchmarks.accuracy_range import FILE, AccuracyRange, AccuracyRangeQuery, Ops, format_ranges, read_ranges
from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES, BenchmarkSpace
from nas.callbacks.recording.epoch_lines import EpochLines
from nas.callbacks.recording.pictures import log_picture
from nas.relaxations.distribution import Distribution
from nas.searches.gradient import GradientSearch
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, SEED, check_ranges

log = logging.getLogger(__name__)
PICTURE = "accuracy_range.png"
NAME = "callbacks.accuracy_range"
STATISTICS = ("minimum", "mean", "maximum", "mode")


@check_ranges(samples=COUNT, seed=SEED)
class AccuracyRangeRecorder(EpochLines):
    """Record the range of the benchmark accuracies of sampled architectures (figure of DrNAS, Chen et al., ICLR 2021).

    After each epoch, architectures are sampled from the learned distribution. The minimum, mean and maximum of their
    test accuracies and the accuracy of the distribution's mode are written to accuracy_range.csv and logged, for each
    data set of the benchmark. The last epoch plots them as accuracy_range.png. The samples have a random generator of
    their own for each epoch: they do not influence the search, and a resumed search repeats them.

    Args:
        directory: directory of the files.
        root: directory with the benchmark tables.
        samples: architectures per epoch.
        seed: seed of the samples.

    Raises:
        NasError: if the search learns no distribution of ops, or its space has no benchmark table in ``root``.
    """

    def __init__(self, directory: str | Path, root: str, samples: int = 100, seed: int = 0) -> None:
        super().__init__(Path(directory) / FILE)
        self.root = root
        self.samples = samples
        self.seed = seed
        self._query: AccuracyRangeQuery | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        check_search(pl_module)
        assert isinstance(pl_module, GradientSearch)
        problem = ""
        if trainer.is_global_zero:
            try:
                self._query = open_query(self.root, pl_module.space.notation)
            except NasError as error:
                problem = str(error)
        problem = trainer.strategy.broadcast(problem)
        if problem:
            raise NasError(problem)

    def content_before(self, epoch: int) -> str:
        return format_ranges(line for line in read_ranges(self.path) if line.epoch < epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, GradientSearch)
        ranges: list[AccuracyRange] = []
        if self._query is not None:
            distribution = pl_module.relaxation.distribution(pl_module.masks)
            assert distribution is not None
            ranges = sampled_ranges(self._query, distribution.rounded(), trainer.current_epoch, self.samples, self.seed)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            header = not self.path.exists()
            with self.path.open("a") as file:
                file.write(format_ranges(ranges, header))
        values = {
            f"accuracy_range/{line.dataset}_{name}": value
            for line in ranges
            for name in STATISTICS
            if not math.isnan(value := getattr(line, name))
        }
        values = trainer.strategy.broadcast(values)
        pl_module.log_dict(values, on_step=False, on_epoch=True, sync_dist=True, batch_size=1)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        ranges = read_ranges(self.path) if trainer.is_global_zero else []
        if not ranges:
            return
        # imported here, because the import takes a second
        from nas.plotting.accuracy_range import accuracy_range_figure
        from nas.plotting.figure import save_figure

        picture = self.path.with_name(PICTURE)
        save_figure(accuracy_range_figure(ranges), picture)
        log_picture(trainer, "accuracy_range", picture, max(trainer.current_epoch - 1, 0))


def check_search(module: pl.LightningModule) -> None:
    """Raise NasError if a search learns no distribution over the ops of its edges, or has no tabular benchmark."""
    if not isinstance(module, GradientSearch):
        name = getattr(module, "name", type(module).__name__)
        raise NasError(f"{NAME}: method={name} learns no distribution of ops. Use a gradient-based method.")
    if module.space.notation not in BENCHMARK_SPACES:
        raise NasError(
            f"{NAME}: space={module.space.name} has no tabular benchmark. Use space=nas_bench_201 or nats_size."
        )
    space = BENCHMARK_SPACES[module.space.notation]
    for cell in module.space.cells.values():
        if (cell.edges, cell.ops) != (space.edges, space.ops):
            raise NasError(f"{NAME}: space={module.space.name} has other ops than {space.title}. Use its ops.")
    if module.relaxation.distribution(module.masks) is None:
        kind = type(module.relaxation).__name__
        raise NasError(
            f"{NAME}: method={module.name} learns no distribution of ops (relaxation {kind}). Use another method, "
            "such as method=drnas, gdas or darts."
        )


def open_query(root: str | Path, notation: str) -> AccuracyRangeQuery:
    """Open the benchmark table of a space. Raises NasError if it is missing or has no test accuracies."""
    space = BENCHMARK_SPACES[notation]
    table = benchmarks.find_table(root, notation)
    if table is None:
        raise NasError(f"paths.benchmark={root}: no table of {space.title} found. Set paths.benchmark=DIR.")
    return AccuracyRangeQuery(table, space)


def sampled_ranges(
    query: AccuracyRangeQuery, distribution: Distribution, epoch: int, samples: int, seed: int
) -> list[AccuracyRange]:
    """Sample architectures from the distribution of an epoch and return their accuracies on each data set.

    Equal arguments give equal samples.

    Args:
        query: the benchmark.
        distribution: distribution with one cell type, on the CPU.
        epoch: epoch, counted from 0.
        samples: number of architectures.
        seed: seed of the samples.
    """
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    (columns,) = distribution.sample(samples, generator).values()
    (mode,) = distribution.mode().values()
    architectures = [_ops(query.space, row) for row in columns.tolist()]
    return query.ranges(epoch, architectures, _ops(query.space, mode.tolist()))


def _ops(space: BenchmarkSpace, columns: Sequence[int]) -> Ops:
    return tuple(space.ops[column] for column in columns)
