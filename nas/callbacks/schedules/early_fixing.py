"""Early fixing of edges (DSNAS)."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from nas.architecture.cell import NONE
from nas.searches.gradient import GradientSearch
from nas.utils.ranges import NOT_NEGATIVE, check_ranges


@check_ranges(margin=NOT_NEGATIVE)
class EarlyFixing(pl.Callback):
    """Fix an edge to its best op once that op leads the second by ``margin`` in the softmax of alpha.

    Runs before each epoch (DSNAS, Hu et al., CVPR 2020). The masks store the fixed edges, whose alphas get no further
    gradient. Ops that a genotype cannot contain, such as ``none`` in DARTS cells, are never fixed.
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
            best = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, top.indices[:, :1], True)
            pl_module.masks.restrict(name, best | ~decided[:, None])
