"""Benchmark accuracy of the current genotype after each epoch."""

from __future__ import annotations

import logging

import pytorch_lightning as pl

from nas import benchmarks
from nas.architecture.cell import Genotype
from nas.benchmarks.benchmark import Benchmark
from nas.benchmarks.descriptions import BENCHMARKS, Description, benchmark_directories
from nas.searches.base import Search
from nas.spaces.base import Space
from nas.utils.errors import NasError

log = logging.getLogger(__name__)


class BenchmarkAccuracy(pl.Callback):
    """Log ``benchmark/valid`` and ``benchmark/test``: accuracies in percent of the current genotype.

    The accuracies are those of a training from scratch with the length that papers report, averaged over seeds: 200
    epochs on NAS-Bench-201, 90 on the NATS-Bench size space. In the DARTS space, NAS-Bench-301 predicts
    ``benchmark/valid`` after 100 epochs. They never influence the search. Only the first rank reads the benchmark.
    Values that the benchmark does not contain, or that are no percentages, are not logged.

    Args:
        root: directory with the benchmark files.
        dataset: data set of the search.
        task: data set or task in place of a ``dataset`` that the benchmark does not contain. The first data set of the
            benchmark is used if this is None or also missing.
    """

    def __init__(self, root: str, dataset: str, task: str | None = None) -> None:
        self.root = root
        self.dataset = dataset
        self.task = task
        self.description = ""
        """Data set, length of training and averaging of the logged accuracies."""
        self._benchmark: Benchmark | None = None
        self._space: Space | None = None
        self._dataset = dataset
        self._splits: tuple[str, ...] = ()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        notation = pl_module.space.notation if isinstance(pl_module, Search) else ""
        if notation not in BENCHMARKS:
            return
        assert isinstance(pl_module, Search)
        self._space = pl_module.space
        if trainer.is_global_zero:
            log.info("benchmark      %s", self._open(notation))
        self._splits = trainer.strategy.broadcast(self._splits)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._splits or not isinstance(pl_module, Search):
            return
        accuracies = trainer.strategy.broadcast(self.accuracies(pl_module.genotype()))
        pl_module.log_dict(accuracies, on_step=False, on_epoch=True, sync_dist=True, batch_size=1)

    def accuracies(self, genotype: Genotype) -> dict[str, float]:
        """Return the benchmark accuracies of a genotype by metric name. Empty on ranks other than the first."""
        accuracies = {}
        for split in self._splits if self._benchmark is not None else ():
            value = self._accuracy(genotype, self._dataset, split)
            if value is not None:
                accuracies[f"benchmark/{split}"] = value
        return accuracies

    def test_accuracies(self, genotype: Genotype) -> dict[str, float]:
        """Return the test accuracies of a genotype on all data sets of the benchmark, by ``DATASET/test``."""
        accuracies = {}
        for dataset in self._description().datasets if self._benchmark is not None else ():
            value = self._accuracy(genotype, dataset, "test")
            if value is not None:
                accuracies[f"{dataset}/test"] = value
        return accuracies

    def best(self) -> dict[str, float]:
        """Return the best accuracy of the space by metric name; empty if it is unknown."""
        accuracies = {}
        for split in self._splits if self._benchmark is not None else ():
            assert self._benchmark is not None
            epochs = self._benchmark.report_epochs(self._dataset)
            value = self._benchmark.best_accuracy(self._dataset, split, epochs, self._space)
            if value is not None:
                accuracies[f"benchmark/{split}"] = value
        return accuracies

    def _open(self, notation: str) -> str:
        """Open the benchmark and return the line to log about it."""
        about = BENCHMARKS[notation]
        try:
            if about.check_space is not None and self._space is not None:
                about.check_space(self._space)
            benchmark = benchmarks.find_benchmark(self.root, notation)
        except NasError as error:
            return f"not available: {error}"
        if benchmark is None:
            where = " or ".join(map(str, benchmark_directories(self.root, notation)))
            return (
                f"{about.title} table not found in {where}; benchmark accuracy will not be logged (set paths.benchmark)"
            )
        self._benchmark = benchmark
        names = [name for name in (self.dataset, self.task, *about.datasets) if name in about.datasets]
        self._dataset = names[0]
        if not about.in_percent(self._dataset):
            return f"{about.title}: values of {self._dataset} are no percentages and are not logged after each epoch"
        try:
            self.description = about.describe(self._dataset, benchmark.report_epochs(self._dataset))
        except NasError as error:
            return f"not available: {error}"
        self._splits = tuple(split for split in about.splits if self._has(split))
        instead = "" if self._dataset == self.dataset else f" (it has no {self.dataset})"
        return f"{about.title}: accuracies on {self.description}{instead}"

    def _description(self) -> Description:
        assert self._benchmark is not None
        return BENCHMARKS[self._benchmark.notation]

    def _has(self, split: str) -> bool:
        assert self._benchmark is not None
        try:
            self._benchmark.check(self._dataset, split, self._benchmark.report_epochs(self._dataset), "mean")
        except NasError:
            return False
        return True

    def _accuracy(self, genotype: Genotype, dataset: str, split: str) -> float | None:
        """Return an accuracy, None if the benchmark does not contain it."""
        assert self._benchmark is not None
        try:
            epochs = self._benchmark.report_epochs(dataset)
            return float(self._benchmark.accuracy(genotype, dataset, split, epochs, "mean"))
        except NasError:
            return None
