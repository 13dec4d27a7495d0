"""What a benchmark knows of a search's genotype, epoch by epoch."""

from __future__ import annotations

import logging
import math

import pytorch_lightning as pl

from nas import benchmarks
from nas.architecture.cell import Genotype
from nas.benchmarks.benchmark import Benchmark, Values
from nas.benchmarks.kinds import DATASETS, KINDS, Kind, places
from nas.searches.base import Search
from nas.utils.errors import NasError

log = logging.getLogger(__name__)


class BenchmarkAccuracy(pl.Callback):
    """Logs ``benchmark/valid`` and ``benchmark/test`` at the end of each epoch: accuracies in percent of the current
    genotype, trained from scratch as papers report it (200 epochs on NAS-Bench-201, 90 on NATS-Bench's size space),
    the mean over seeds.

    On the data set searched on where the benchmark knows it, else on cifar10. The table is looked for under ``root``.
    What it does not hold is left out. The search itself learns nothing of these numbers. The first rank alone reads
    the table.
    """

    def __init__(self, root: str, dataset: str) -> None:
        self.root = root
        self.dataset = dataset
        self.what = ""
        """What the numbers are of, in words."""
        self._table: Benchmark | None = None
        self._columns: dict[str, Values] = {}
        self._splits: tuple[str, ...] = ()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        kind = KINDS.get(pl_module.space.notation) if isinstance(pl_module, Search) else None
        if kind is None:
            return
        if trainer.is_global_zero:
            log.info("benchmark     %s", self._open(kind))
        self._splits = trainer.strategy.broadcast(tuple(self._columns))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._splits or not isinstance(pl_module, Search):
            return
        found = trainer.strategy.broadcast(self.accuracies(pl_module.genotype()))
        pl_module.log_dict(found, on_step=False, on_epoch=True, sync_dist=True, batch_size=1)
        for name in {f"benchmark/{split}" for split in self._splits} - set(found):
            trainer.callback_metrics.pop(name, None)  # of an earlier epoch, whose genotype is held

    def accuracies(self, genotype: Genotype) -> dict[str, float]:
        """What is known of a genotype, by the names of the metrics; on the first rank."""
        if self._table is None:
            return {}
        try:
            row = self._table.row(genotype)
        except NasError:  # a table of part of the space
            return {}
        found = {f"benchmark/{split}": float(column[row]) for split, column in self._columns.items()}
        return {name: value for name, value in found.items() if not math.isnan(value)}

    def _open(self, kind: Kind) -> str:
        """Opens the table; what there is to say about it."""
        try:
            table = benchmarks.find(self.root, kind.notation)
        except NasError as error:
            return f"none: {error}"
        if table is None:
            looked = " or ".join(map(str, places(self.root, kind.notation)))
            return f"none of {kind.title} in {looked}: genotypes are not looked up (paths.benchmark says where)"
        dataset = self.dataset if self.dataset in DATASETS else "cifar10"
        columns = {}
        for split in ("valid", "test"):
            try:
                columns[split] = table.values(dataset, split, kind.epochs, "mean")
            except NasError:  # not held of any architecture
                continue
        self._table, self._columns = table, columns
        self.what = f"{dataset}, {kind.epochs} epochs, mean over seeds"
        instead = "" if dataset == self.dataset else f", which does not know dataset '{self.dataset}'"
        return f"{kind.title}{instead}: accuracies on {self.what}"
