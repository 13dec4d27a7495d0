"""Selection by trial: the best of many genotypes with the supernet's weights."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from nas.architecture.cell import Genotype, discretize
from nas.architecture.top_k import strongest
from nas.searches.base import Batch
from nas.searches.gradient import GradientSearch


class SelectBest(pl.Callback):
    """Draws ``samples`` genotypes (``final`` in the last epoch) and keeps the best in validation.

    The selection of one-shot methods (Li and Talwalkar, UAI 2019). It runs after the last training step of an
    epoch; all ranks try the same candidates. ``batches`` "common" tries all on one validation batch, "own" each on
    the next one (AutoDL-Projects). Of equals the first wins.
    """

    def __init__(self, samples: int = 10, final: int = 100, batches: Literal["common", "own"] = "common") -> None:
        self.samples = samples
        self.final = final
        self.batches = batches

    def candidates(self, search: GradientSearch, count: int) -> list[Genotype]:
        """The genotypes to try: drawn uniformly."""
        draw = torch.randint(2**62, (), generator=search.relaxation.generator(torch.device("cpu")))
        rng = random.Random(int(draw))
        return [search.space.sample(rng) for _ in range(count)]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch or not isinstance(pl_module, GradientSearch):
            return
        last = trainer.current_epoch + 1 == trainer.max_epochs
        found = self.candidates(pl_module, self.final if last else self.samples)
        like = torch.zeros((), device=pl_module.device)
        parts = self._parts(trainer, pl_module.device)
        scores = [pl_module.evaluate(next(parts), pl_module.space.encode(g, like))[1] for g in found]
        ranked = trainer.strategy.reduce(torch.stack(scores), reduce_op="mean").tolist()
        pl_module.selected = found[ranked.index(max(ranked))]

    def _parts(self, trainer: pl.Trainer, device: torch.device) -> Iterator[Batch]:
        """Validation batches without end: the first one for ever, or one after another, round and round."""
        loader = trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
        while True:
            for x, target in loader:
                part = x.to(device), target.to(device)
                yield part
                while self.batches == "common":
                    yield part


class SelectStrongest(SelectBest):
    """Tries the genotypes with the highest sums of log-probabilities of their ops (SETN, Dong and Yang, ICCV 2019)."""

    def candidates(self, search: GradientSearch, count: int) -> list[Genotype]:
        """The ``count`` strongest under the relaxation's scores, strongest first."""
        scores = {name: table.log() for name, table in search.relaxation.scores(search.masks).items()}
        left = {name: cell.masked(search.masks.lists(name)) for name, cell in search.space.cells.items()}
        return [Genotype(search.space.notation, cells) for cells in strongest(left, scores, count)]


class SelectDrawn(SelectBest):
    """Tries genotypes drawn by the relaxation itself, one op an edge (ENAS, Pham et al., ICML 2018)."""

    def candidates(self, search: GradientSearch, count: int) -> list[Genotype]:
        """The genotypes of ``count`` draws."""
        paths = [search.relaxation(search.masks) for _ in range(count)]
        cells = search.space.cells
        drawn = [{name: discretize(cell, path[name].op) for name, cell in cells.items()} for path in paths]
        return [Genotype(search.space.notation, found) for found in drawn]
