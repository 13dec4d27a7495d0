"""Data module of a black-box search."""

from __future__ import annotations

import pytorch_lightning as pl

MAX_STEPS = 10**9
"""Steps of an epoch that ends by its share of the seconds."""


class QueryDataModule(pl.LightningDataModule):
    """Data module without data: one empty batch per query.

    Args:
        queries: number of queries of the search, divided among the epochs; None if only the seconds are limited.
    """

    def __init__(self, queries: int | None) -> None:
        super().__init__()
        self.queries = queries

    def train_dataloader(self) -> range:
        if self.queries is None or self.trainer is None:
            return range(MAX_STEPS)
        return range(-(-self.queries // (self.trainer.max_epochs or 1)))
