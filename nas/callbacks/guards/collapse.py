"""Detection of collapse: too many skip connections, or alphas with too little entropy."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import Any

import pytorch_lightning as pl
import torch

from nas.searches.base import Search
from nas.searches.gradient import GradientSearch
from nas.utils.ranges import NOT_NEGATIVE, check_ranges

log = logging.getLogger(__name__)


@check_ranges(limit=NOT_NEGATIVE)
class Monitor(pl.Callback, ABC):
    """Log values once per epoch and warn if they pass a limit.

    The values are measured after the last training step and before validation, so the history contains them.

    Args:
        limit: value to warn at. None only logs.
        stop: end the search when the limit is passed.
    """

    def __init__(self, limit: float | None = None, stop: bool = False) -> None:
        self.limit = limit
        self.stop = stop

    @abstractmethod
    def measure(self, search: Search) -> tuple[dict[str, float], str | None]:
        """Return the values to log and, if they pass the limit, a message."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch or not isinstance(pl_module, Search):
            return
        values, wrong = self.measure(pl_module)
        pl_module.log_dict(values, on_step=False, on_epoch=True, batch_size=1)
        if wrong is not None:
            if trainer.is_global_zero:
                log.warning("epoch %d: %s%s", trainer.current_epoch, wrong, "; stopping the search" * self.stop)
            trainer.should_stop = trainer.should_stop or self.stop


class SkipCollapse(Monitor):
    """Count the skip connections of the derived cell, the symptom of collapse in DARTS.

    Uses the normal cell, or the first cell of a space that has none. A count equal to the limit is allowed: DARTS+
    (Liang et al., 2019), which stops at two skip connections, is ``limit=1`` with ``stop=True``.

    Args:
        limit: largest count without a warning.
        stop: end the search when the count exceeds the limit.
        op: name of the op to count.
    """

    def __init__(self, limit: float | None = None, stop: bool = False, op: str = "skip_connect") -> None:
        super().__init__(limit, stop)
        self.op = op

    def measure(self, search: Search) -> tuple[dict[str, float], str | None]:
        cells = search.genotype().cells
        name = "normal" if "normal" in cells else next(iter(cells))
        count = sum(link.op == self.op for link in cells[name].links)
        past = self.limit is not None and count > self.limit
        wrong = f"{count} of {len(cells[name].links)} links of the {name} cell are {self.op}" if past else None
        return {f"{self.op}/{name}": float(count)}, wrong


class EntropyCollapse(Monitor):
    """Log the mean entropy of the edges per cell type, in nats, and warn if one falls below the limit."""

    def measure(self, search: Search) -> tuple[dict[str, float], str | None]:
        if not isinstance(search, GradientSearch):
            return {}, None
        tables = search.relaxation.scores(search.masks)
        entropies = {name: float(torch.special.entr(t.float()).sum(dim=-1).mean()) for name, t in tables.items()}
        past = [name for name, value in entropies.items() if self.limit is not None and value < self.limit]
        wrong = f"the entropy of cell '{past[0]}' is {entropies[past[0]]:.3f}" if past else None
        return {f"entropy/{name}": value for name, value in entropies.items()}, wrong
