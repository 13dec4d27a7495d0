"""Statistics of batch norm counted anew, after a training and before its test."""

from __future__ import annotations

from itertools import chain, islice, repeat

import pytorch_lightning as pl
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from nas.data.pipeline.loader import Loader, derive_seed
from nas.training.module import Training
from nas.utils.errors import NasError


class CalibrateNorm(pl.Callback):
    """Before the test, batch norm's running statistics become the plain mean over ``batches`` training batches.

    As Single Path One-Shot (Guo et al., ECCV 2020) ends its trainings: in training mode, weights as they are, augmented
    images, each batch counting alike. Dropout and drop path draw from ``seed``. Distributed, the mean over all ranks.
    What was measured while training, and the checkpoint, have the running averages.

    Raises:
        NasError: if ``batches`` is below 1.
    """

    def __init__(self, batches: int, seed: int = 0) -> None:
        if batches < 1:
            raise NasError(f"callbacks.calibration.batches={batches}: give a whole number, at least 1")
        self.batches, self.seed = batches, seed

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # not BatchNorm2d alone: Lightning has a kind of its own in its place where trainer.sync_batchnorm was on
        norms = [m for m in pl_module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
        if not isinstance(pl_module, Training) or not norms:
            return
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all batches, each counting alike
        self._run(trainer, pl_module)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            for statistic in (norm.running_mean, norm.running_var):
                assert statistic is not None
                statistic.copy_(trainer.strategy.reduce(statistic.clone(), reduce_op="mean"))

    def _run(self, trainer: pl.Trainer, training: Training) -> None:
        loader = trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
        assert isinstance(loader, Loader)
        loader.set_epoch(trainer.max_epochs or 0)  # an order that no epoch had
        training.network.train()
        device = training.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
            torch.manual_seed(derive_seed("calibration", self.seed, trainer.global_rank))
            for batch in islice(chain.from_iterable(repeat(loader)), self.batches):
                x = trainer.strategy.batch_to_device(batch)[0].contiguous(memory_format=training.memory_format)
                with trainer.precision_plugin.forward_context():
                    training.network(x)
        training.network.eval()
