"""Exclusion of candidate ops from a search."""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl
import torch

from nas.searches.base import SupernetSearch
from nas.utils.errors import NasError


class ExcludedOps(pl.Callback):
    """Mask candidate ops on all edges before the first step, such as ``none`` in GAEA's search on NAS-Bench-201.

    Cell types that have none of these ops do not change.

    Args:
        ops: names of the ops.

    Raises:
        NasError: if no cell has an op, an edge would have no op that a genotype can contain, or there is no supernet.
    """

    def __init__(self, ops: Sequence[str]) -> None:
        self.ops = ops

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        option = f"ExcludedOps: ops={self.ops}"
        if not isinstance(pl_module, SupernetSearch):
            raise NasError(f"{option}: the search trains no supernet. Remove the callback.")
        cells = pl_module.space.cells
        known = list(dict.fromkeys(op for cell in cells.values() for op in cell.ops))
        if isinstance(self.ops, str) or not set(self.ops) <= set(known):
            raise NasError(
                f"{option}: space={pl_module.space.name} has the ops {', '.join(known)}. Use a list of them."
            )
        for name, cell in cells.items():
            kept = [{op for op, on in zip(cell.ops, row, strict=True) if on} for row in pl_module.masks.lists(name)]
            if any(not (set(cell.choices(edge)) & ops) - set(self.ops) for edge, ops in enumerate(kept)):
                raise NasError(f"{option}: an edge of cell type '{name}' has no other op. Exclude fewer ops.")
            pl_module.masks.restrict(name, torch.tensor([op not in self.ops for op in cell.ops]))
