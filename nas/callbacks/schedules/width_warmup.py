"""Warm-up of a search for layer widths."""

from __future__ import annotations

import logging

import pytorch_lightning as pl

from nas.relaxations.block_gumbel import BlockRelaxation
from nas.searches.gradient import GradientSearch
from nas.utils.errors import NasError
from nas.utils.ranges import DROP_PROBABILITY, check_ranges

log = logging.getLogger(__name__)


@check_ranges(ratio=DROP_PROBABILITY)
class WidthWarmup(pl.Callback):
    """Train only the weights, on random widths, in the first epochs of a search.

    In epoch e of E, while e / E is below ``ratio``, each block has its full width with probability 1 - e / (E ratio),
    and otherwise a width sampled uniformly. The source is NATS-Bench (Dong et al., TPAMI 2021) and AutoDL-Projects,
    exps/NATS-algos/search-size.py. The schedule depends only on the epoch, so a resumed search continues it.

    Args:
        ratio: share of the epochs, from 0 to below 1. None disables the warm-up.

    Raises:
        NasError: if the ratio is out of range, covers every epoch, or the relaxation samples no widths.
    """

    def __init__(self, ratio: float | None = None) -> None:
        self.ratio = ratio

    def full(self, epoch: int, epochs: int) -> float | None:
        """Return the probability of the full width in ``epoch`` (from 0) of ``epochs``; None after the warm-up."""
        if self.ratio is None or self.ratio <= epoch / epochs:
            return None
        return 1 - epoch / epochs / self.ratio

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.ratio is None or not isinstance(pl_module, GradientSearch):
            return
        epochs = trainer.max_epochs
        if epochs is None or epochs < 1:
            raise NasError("method.warmup_ratio: trainer.max_epochs is not set. Set epochs to a whole number.")
        warm = sum(self.full(epoch, epochs) is not None for epoch in range(epochs))
        if warm == epochs:
            raise NasError(
                f"method.warmup_ratio={self.ratio}: freezes alphas in all {epochs} epochs. Use more epochs or "
                "a smaller share."
            )
        if not isinstance(pl_module.relaxation, BlockRelaxation):
            raise NasError(
                f"method.warmup_ratio={self.ratio}: {type(pl_module.relaxation).__name__} samples no widths. Set "
                "method.warmup_ratio=null."
            )
        pl_module.arch_step.warmup_epochs = max(pl_module.arch_step.warmup_epochs, warm)
        if warm and trainer.is_global_zero:
            log.info("warm-up        alphas are frozen in the first %d of %d epochs", warm, epochs)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.ratio is not None and isinstance(pl_module, GradientSearch) and trainer.max_epochs is not None:
            assert isinstance(pl_module.relaxation, BlockRelaxation)
            pl_module.relaxation.full_prob = self.full(trainer.current_epoch, trainer.max_epochs)
