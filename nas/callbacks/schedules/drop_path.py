"""Drop path during a search."""

from __future__ import annotations

import pytorch_lightning as pl

from nas.nn.drop_path import DropPath
from nas.searches.base import SupernetSearch
from nas.utils.ranges import DROP_PROBABILITY, check_ranges


@check_ranges(probability=DROP_PROBABILITY)
class SupernetDropPath(pl.Callback):
    """Drop the output of each edge for whole images with a fixed probability while the supernet trains."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, SupernetSearch)
        for module in pl_module.supernet.modules():
            if isinstance(module, DropPath):
                module.probability = self.probability
