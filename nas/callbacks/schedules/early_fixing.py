"""Edges that are decided before the search ends."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from nas.architecture.cell import NONE
from nas.searches.gradient import GradientSearch


class FixDecided(pl.Callback):
    """Before each epoch, leaves an edge with its strongest op alone where that leads the next by ``margin``.

    The early fixing of DSNAS (Hu et al., CVPR 2020): a lead in the softmax of alpha. The masks remember what is
    fixed, so alpha of such an edge means nothing any more and has no gradient. Ops that a genotype cannot hold
    are never fixed (``none`` in DARTS' cells).
    """

    def __init__(self, margin: float = 0.3) -> None:
        self.margin = margin

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not isinstance(pl_module, GradientSearch):
            return
        for name, scores in pl_module.relaxation.scores(pl_module.masks).items():
            cell = pl_module.space.cells[name]
            top = scores.topk(2, dim=-1)
            decided = top.values[:, 0] - top.values[:, 1] >= self.margin
            if NONE in cell.ops and not cell.keeps_none:
                decided &= top.indices[:, 0] != cell.ops.index(NONE)
            strongest = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, top.indices[:, :1], True)
            pl_module.masks.restrict(name, strongest | ~decided[:, None])
