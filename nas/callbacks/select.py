"""Selection by sampling: the best of many genotypes with the supernet's weights."""

from __future__ import annotations

import random
from typing import Any

import pytorch_lightning as pl
import torch

from nas.searches.gradient import GradientSearch


class SelectBest(pl.Callback):
    """Draws ``samples`` genotypes (``final`` in the last epoch) and keeps the best on one validation batch.

    The selection of one-shot methods (Li and Talwalkar, UAI 2019). It runs after the last training step of an
    epoch; all candidates see the same batch, and all ranks draw the same candidates.
    """

    def __init__(self, samples: int = 10, final: int = 100) -> None:
        self.samples = samples
        self.final = final

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch or not isinstance(pl_module, GradientSearch):
            return
        count = self.final if trainer.current_epoch + 1 == trainer.max_epochs else self.samples
        draw = torch.randint(2**62, (), generator=pl_module.relaxation.generator(torch.device("cpu")))
        rng = random.Random(int(draw))
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        x, target = next(iter(datamodule.val_dataloader()))
        part = x.to(pl_module.device), target.to(pl_module.device)
        found = [pl_module.space.sample(rng) for _ in range(count)]
        like = torch.zeros((), device=pl_module.device)
        scores = torch.stack([pl_module.evaluate(part, pl_module.space.encode(g, like))[1] for g in found])
        scores = trainer.strategy.reduce(scores, reduce_op="mean")
        pl_module.selected = found[int(scores.argmax())]
