"""End of the start of a run: the sizes of network and batch, and the panel with all rows of the start."""

from __future__ import annotations

import logging
import math

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only

from nas.cli.run_dir.figures import plan_of
from nas.cli.run_dir.terminal import finish_panel
from nas.searches.base import SupernetSearch
from nas.training.base import BaseTraining

log = logging.getLogger(__name__)


class StartPanel(pl.Callback):
    """Log the number of parameters and the batch before the first step, and print the panel of the start."""

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(pl_module, SupernetSearch):
            size = pl_module.space.describe_size(**pl_module.space.supernet_size())
            parameters = sum(parameter.numel() for parameter in pl_module.supernet.parameters())
            log.info("supernet       %s", f"{parameters / 1e6:.3f} M parameters   {size}".rstrip())
        elif isinstance(pl_module, BaseTraining):
            parameters = sum(parameter.numel() for parameter in pl_module.network.parameters())
            log.info("network        %.3f M parameters", parameters / 1e6)
        plan = plan_of(trainer, pl_module)
        if plan is not None:
            steps = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
            log.info("batch          %s, %d steps per epoch", plan.describe(), steps)
        finish_panel()
