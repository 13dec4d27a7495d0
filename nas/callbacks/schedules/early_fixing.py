"""Early fixing of edges (DSNAS)."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from nas.architecture.cell import NONE
from nas.searches.gradient import GradientSearch
from nas.utils.ranges import NOT_NEGATIVE, check_ranges


class FixedRows(NamedTuple):
    """Fixed edges of a cell type.

    Attributes:
        fixed: whether an edge is fixed, bool [edges].
        alpha: its row of alpha when it was fixed, [edges, ops].
    """

    fixed: Tensor
    alpha: Tensor


def fix_rows(alpha: Tensor, mask: Tensor, rows: FixedRows, margin: float, excluded: int | None = None) -> FixedRows:
    """Restore the stored rows in ``alpha``, then fix further edges; returns all fixed edges.

    Args:
        alpha: architecture parameters [edges, ops], changed in place.
        mask: the allowed ops [edges, ops].
        rows: the fixed edges.
        margin: smallest difference of the two largest probabilities of an edge to fix.
        excluded: column of an op that is never fixed.
    """
    with torch.no_grad():
        alpha.copy_(torch.where(rows.fixed[:, None], rows.alpha, alpha))
        least = torch.finfo(alpha.dtype).min
        if alpha.shape[-1] == 1:  # edges with a single op have nothing to fix
            return rows
        top = alpha.masked_fill(~mask, least).softmax(dim=-1).topk(2, dim=-1)
        decided = top.values[:, 0] - top.values[:, 1] >= margin
        if excluded is not None:
            decided &= top.indices[:, 0] != excluded
        new = decided & ~rows.fixed
        return FixedRows(rows.fixed | new, torch.where(new[:, None], alpha, rows.alpha))


@check_ranges(margin=NOT_NEGATIVE)
class EarlyFixing(pl.Callback):
    """Fix an edge to its best op once that op leads the second by ``margin`` in the softmax of alpha.

    Runs before each epoch (DSNAS, Hu et al., CVPR 2020). The masks store the fixed ops. The optimizer still moves the
    alphas of fixed edges by its momentum, so that they are restored before each epoch, as in the authors' code. Ops
    that a genotype cannot contain, such as ``none`` in DARTS cells, are never fixed.
    """

    def __init__(self, margin: float = 0.3) -> None:
        self.margin = margin
        self.rows: dict[str, FixedRows] = {}
        """Fixed edges by cell type."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not isinstance(pl_module, GradientSearch):
            return
        for name, alpha in pl_module.relaxation.alpha.items():
            cell, mask = pl_module.space.cells[name], pl_module.masks.table(name)
            rows = self.rows.get(name, FixedRows(torch.zeros(len(alpha), dtype=torch.bool), torch.zeros(alpha.shape)))
            rows = FixedRows(rows.fixed.to(alpha.device), rows.alpha.to(alpha.detach()))
            barred = cell.ops.index(NONE) if NONE in cell.ops and not cell.keeps_none else None
            self.rows[name] = rows = fix_rows(alpha, mask, rows, self.margin, barred)
            allowed = alpha.detach().masked_fill(~mask, torch.finfo(alpha.dtype).min)
            best = torch.zeros_like(mask).scatter_(1, allowed.argmax(dim=-1, keepdim=True), True)
            pl_module.masks.restrict(name, best | ~rows.fixed[:, None])

    def state_dict(self) -> dict[str, Any]:
        return {name: [rows.fixed, rows.alpha] for name, rows in self.rows.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = {name: FixedRows(*rows) for name, rows in state_dict.items()}
