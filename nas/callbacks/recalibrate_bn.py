"""Recalibration of batch norm statistics between training and test."""

from __future__ import annotations

from itertools import chain, islice, repeat

import pytorch_lightning as pl
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from nas.callbacks.interruptible import interruptible
from nas.data.pipeline.loader import Loader
from nas.training.network_training import Training
from nas.utils.ranges import COUNT, SEED, check_ranges
from nas.utils.seeds import derive_seed


@check_ranges(batches=COUNT, seed=SEED)
class RecalibrateBatchNorm(pl.Callback):
    """Replace the running statistics of batch norm by their plain mean over training batches, before the test.

    Single Path One-Shot (Guo et al., ECCV 2020) ends its trainings this way. The network is in training mode with
    fixed weights, the images are augmented, and every batch has the same weight. On several ranks the statistics are
    averaged. The validation figures of the training and the checkpoint keep the running averages.

    Args:
        batches: number of training batches per rank.
        seed: seed of dropout and drop path.

    Raises:
        NasError: if ``batches`` is below 1.
    """

    def __init__(self, batches: int, seed: int = 0) -> None:
        self.batches, self.seed = batches, seed

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # trainer.sync_batchnorm replaces BatchNorm2d by another subclass of _BatchNorm
        norms = [m for m in pl_module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
        if not isinstance(pl_module, Training) or not norms:
            return
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a cumulative mean: every batch has the same weight
        self._run(trainer, pl_module)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            for statistic in (norm.running_mean, norm.running_var):
                assert statistic is not None
                statistic.copy_(trainer.strategy.reduce(statistic.clone(), reduce_op="mean"))

    def _run(self, trainer: pl.Trainer, training: Training) -> None:
        loader = trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
        assert isinstance(loader, Loader)
        loader.set_epoch(trainer.max_epochs or 0)  # an order of images that no epoch of the training used
        training.network.train()
        device = training.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
            torch.manual_seed(derive_seed("calibration", self.seed, trainer.global_rank))
            for batch in interruptible(trainer, islice(chain.from_iterable(repeat(loader)), self.batches)):
                x = trainer.strategy.batch_to_device(batch)[0].contiguous(memory_format=training.memory_format)
                with trainer.precision_plugin.forward_context():
                    training.network(x)
        training.network.eval()
