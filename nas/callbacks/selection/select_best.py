"""Selection of the best of several sampled genotypes, evaluated with the weights of the supernet."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from nas.architecture.cell import Genotype
from nas.architecture.discretization import discretize
from nas.architecture.top_genotypes import top_genotypes
from nas.callbacks.interruptible import interruptible
from nas.data.move_batch import move_batch
from nas.gradients.base import Batch
from nas.searches.gradient import GradientSearch
from nas.spaces.limits import MAX_TRIES
from nas.utils.ranges import COUNT, check_ranges

MAX_EXAMINED = 2000
"""Genotypes that are examined if some of them exceed a limit."""


@check_ranges(samples=COUNT, final=COUNT)
class SelectBest(pl.Callback):
    """Sample genotypes uniformly and select the best by validation accuracy (Li and Talwalkar, UAI 2019).

    Runs after the last training step of an epoch. All ranks evaluate the same genotypes. Of equals the first wins.

    Args:
        samples: genotypes per epoch.
        final: genotypes in the last epoch.
        batches: "common" evaluates all genotypes on one validation batch, "own" each on the next batch
            (AutoDL-Projects).
    """

    def __init__(self, samples: int = 10, final: int = 100, batches: Literal["common", "own"] = "common") -> None:
        self.samples = samples
        self.final = final
        self.batches = batches

    def candidates(self, search: GradientSearch, count: int) -> list[Genotype]:
        """Return up to ``count`` genotypes to evaluate, sampled uniformly from those within the limits."""
        draw = torch.randint(2**62, (), generator=search.relaxation.generator(torch.device("cpu")))
        rng = random.Random(int(draw))
        examined = count if search.limits is None else max(count, MAX_TRIES)
        samples = (search.space.sample(rng) for _ in range(examined))
        return list(islice(_allowed(search, samples), count)) or [search.genotype()]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch or not isinstance(pl_module, GradientSearch):
            return
        last = trainer.current_epoch + 1 == trainer.max_epochs
        candidates = self.candidates(pl_module, self.final if last else self.samples)
        like = torch.zeros((), device=pl_module.device)
        batches = interruptible(trainer, self._validation_batches(trainer, pl_module.device))
        scores = [pl_module.evaluate(next(batches), pl_module.space.encode(g, like))[1] for g in candidates]
        ranked = trainer.strategy.reduce(torch.stack(scores), reduce_op="mean").tolist()
        pl_module.selected = candidates[ranked.index(max(ranked))]

    def _validation_batches(self, trainer: pl.Trainer, device: torch.device) -> Iterator[Batch]:
        """Yield validation batches without end: always the first one, or each in turn."""
        loader = trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
        while True:
            for loaded in loader:
                batch = move_batch(loaded, device)
                yield batch
                while self.batches == "common":
                    yield batch


class SelectHighestScores(SelectBest):
    """Evaluate the genotypes with the largest sums of log-probabilities of ops (SETN, Dong and Yang, ICCV 2019)."""

    def candidates(self, search: GradientSearch, count: int) -> list[Genotype]:
        """Return the ``count`` most probable genotypes under the relaxation's scores, best first."""
        scores = {name: table.log() for name, table in search.relaxation.scores(search.masks).items()}
        remaining = {name: cell.masked(search.masks.lists(name)) for name, cell in search.space.cells.items()}
        examined = count if search.limits is None else max(count, MAX_EXAMINED)
        ranked = (Genotype(search.space.notation, cells) for cells in top_genotypes(remaining, scores, examined))
        return list(islice(_allowed(search, ranked), count)) or [search.genotype()]


class SelectSampled(SelectBest):
    """Evaluate genotypes sampled by the relaxation, one op per edge (ENAS, Pham et al., ICML 2018)."""

    def candidates(self, search: GradientSearch, count: int) -> list[Genotype]:
        """Return the genotypes of ``count`` samples."""
        examined = count if search.limits is None else max(count, MAX_EXAMINED)
        samples = (self._sample(search) for _ in range(examined))
        return list(islice(_allowed(search, samples), count)) or [search.genotype()]

    @staticmethod
    def _sample(search: GradientSearch) -> Genotype:
        path = search.relaxation.sample(search.masks)
        cells = {name: discretize(cell, path[name].op) for name, cell in search.space.cells.items()}
        return Genotype(search.space.notation, cells)


def _allowed(search: GradientSearch, genotypes: Iterable[Genotype]) -> Iterator[Genotype]:
    """Yield the genotypes within the limits of the search."""
    return (one for one in genotypes if search.limits is None or search.limits.allows(one))
