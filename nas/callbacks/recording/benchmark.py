"""Benchmark accuracy of the current genotype after each epoch."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytorch_lightning as pl

from nas import benchmarks
from nas.architecture.cell import Genotype
from nas.benchmarks.benchmark import Benchmark, Values
from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES, DATASETS, BenchmarkSpace, table_directories
from nas.searches.base import Search
from nas.utils.errors import NasError

log = logging.getLogger(__name__)


class BenchmarkAccuracy(pl.Callback):
    """Log ``benchmark/valid`` and ``benchmark/test``: accuracies in percent of the current genotype.

    The accuracies are those of a training from scratch with the length that papers report, averaged over seeds: 200
    epochs on NAS-Bench-201, 90 on the NATS-Bench size space. They never influence the search. Only the first rank
    reads the table. Values that the table does not contain are not logged.

    Args:
        root: directory with the benchmark tables.
        dataset: data set of the search; cifar10 is used instead if the benchmark does not contain it.
    """

    def __init__(self, root: str, dataset: str) -> None:
        self.root = root
        self.dataset = dataset
        self.description = ""
        """Data set, length of training and averaging of the logged accuracies."""
        self._table: Benchmark | None = None
        self._columns: dict[str, Values] = {}
        self._epochs = 0
        self._splits: tuple[str, ...] = ()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        space = BENCHMARK_SPACES.get(pl_module.space.notation) if isinstance(pl_module, Search) else None
        if space is None:
            return
        if trainer.is_global_zero:
            log.info("benchmark      %s", self._open(space))
        self._splits = trainer.strategy.broadcast(tuple(self._columns))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._splits or not isinstance(pl_module, Search):
            return
        found = trainer.strategy.broadcast(self.accuracies(pl_module.genotype()))
        pl_module.log_dict(found, on_step=False, on_epoch=True, sync_dist=True, batch_size=1)

    def accuracies(self, genotype: Genotype) -> dict[str, float]:
        """Return the benchmark accuracies of a genotype by metric name. Empty on ranks other than the first."""
        if self._table is None:
            return {}
        try:
            row = self._table.row(genotype)
        except NasError:  # the table covers a part of the space only
            return {}
        found = {f"benchmark/{split}": float(column[row]) for split, column in self._columns.items()}
        return {name: value for name, value in found.items() if not math.isnan(value)}

    def test_accuracies(self, genotype: Genotype) -> dict[str, float]:
        """Return the test accuracies of a genotype on all data sets of the benchmark, by ``DATASET/test``."""
        found = {}
        for dataset in DATASETS if self._table is not None else ():
            assert self._table is not None
            try:
                value = self._table.accuracy(genotype, dataset, "test", self._epochs, "mean")
            except NasError:  # the table has no such accuracy
                continue
            if not math.isnan(value):
                found[f"{dataset}/test"] = float(value)
        return found

    def best(self) -> dict[str, float]:
        """Return the best accuracy of all architectures of the table by metric name; empty without a table."""
        return {
            f"benchmark/{split}": float(np.nanmax(column))
            for split, column in self._columns.items()
            if not np.isnan(column).all()
        }

    def _open(self, space: BenchmarkSpace) -> str:
        """Open the table and return the line to log about it."""
        try:
            table = benchmarks.find_benchmark(self.root, space.notation)
        except NasError as error:
            return f"not available: {error}"
        if table is None:
            where = " or ".join(map(str, table_directories(self.root, space.notation)))
            return (
                f"{space.title} table not found in {where}; benchmark accuracy will not be logged (set paths.benchmark)"
            )
        dataset = self.dataset if self.dataset in DATASETS else "cifar10"
        columns = {}
        for split in ("valid", "test"):
            try:
                columns[split] = table.accuracies(dataset, split, space.epochs, "mean")
            except NasError:  # the table has no such accuracies
                continue
        self._table, self._columns, self._epochs = table, columns, space.epochs
        self.description = f"{dataset}, {space.epochs} epochs, mean over seeds"
        instead = "" if dataset == self.dataset else f" (it has no {self.dataset})"
        return f"{space.title}: accuracies on {self.description}{instead}"
