"""Watching a search for collapse: too many skip connections, or an architecture decided too early."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import Any

import pytorch_lightning as pl
import torch

from nas.searches.base import Search
from nas.searches.gradient import GradientSearch

log = logging.getLogger(__name__)


class Monitor(pl.Callback, ABC):
    """Logs numbers at the end of each epoch, and says so where they are past ``limit``; with ``stop`` ends the search.

    It looks after the last training step, before validation, so that the numbers are in the epoch's record.
    """

    def __init__(self, limit: float | None = None, stop: bool = False) -> None:
        self.limit = limit
        self.stop = stop

    @abstractmethod
    def look(self, search: Search) -> tuple[dict[str, float], str | None]:
        """The numbers to log, and what is wrong where they are past the limit."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch or not isinstance(pl_module, Search):
            return
        values, wrong = self.look(pl_module)
        pl_module.log_dict(values, on_step=False, on_epoch=True, batch_size=1)
        if wrong is not None:
            if trainer.is_global_zero:
                log.warning("epoch %d: %s%s", trainer.current_epoch, wrong, "; the search ends here" * self.stop)
            trainer.should_stop = trainer.should_stop or self.stop


class SkipCollapse(Monitor):
    """Counts the skip connections of the derived cell: the sign of DARTS' collapse.

    The normal cell where there is one, else the first. The limit itself is still allowed: DARTS+ (Liang et al.,
    2019), which ends at two skip connections in the normal cell, is ``limit`` 1 with ``stop``.
    """

    def __init__(self, limit: float | None = None, stop: bool = False, op: str = "skip_connect") -> None:
        super().__init__(limit, stop)
        self.op = op

    def look(self, search: Search) -> tuple[dict[str, float], str | None]:
        cells = search.genotype().cells
        name = "normal" if "normal" in cells else next(iter(cells))
        found = sum(link.op == self.op for link in cells[name].links)
        past = self.limit is not None and found > self.limit
        wrong = f"{found} of {len(cells[name].links)} links of the {name} cell are {self.op}" if past else None
        return {f"{self.op}/{name}": float(found)}, wrong


class EntropyCollapse(Monitor):
    """The mean entropy of the edges' scores, in nats, for each cell type; past the limit where one falls below it."""

    def look(self, search: Search) -> tuple[dict[str, float], str | None]:
        if not isinstance(search, GradientSearch):
            return {}, None
        tables = search.relaxation.scores(search.masks)
        found = {name: float(torch.special.entr(t.float()).sum(dim=-1).mean()) for name, t in tables.items()}
        past = [name for name, value in found.items() if self.limit is not None and value < self.limit]
        wrong = f"the entropy of cell '{past[0]}' is {found[past[0]]:.3f}" if past else None
        return {f"entropy/{name}": value for name, value in found.items()}, wrong
