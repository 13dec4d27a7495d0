"""Memory format of the trained network."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import nn

from nas.callbacks.execution_switch import ExecutionSwitch
from nas.searches.base import SupernetSearch
from nas.training.network_training import Training
from nas.utils.errors import NasError


class ChannelsLast(ExecutionSwitch):
    """Store the convolutions of the trained network in the channels-last memory format.

    Their outputs then have this format. Convolutions and batch norm are faster in it on a CPU. Results are equal up to
    rounding.

    Raises:
        NasError: in ``setup`` if ``mode`` is True and the search has no supernet.
    """

    option = "channels_last"

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.mode is not True:
            return
        if not self.applies(trainer, pl_module):
            raise NasError("channels_last=true: this run trains no network on images. Use channels_last=auto.")
        if isinstance(pl_module, Training):
            self.change(trainer, pl_module)  # before DDP builds its buckets, which have the strides of the weights

    def applies(self, trainer: pl.Trainer, module: pl.LightningModule) -> bool:
        if isinstance(module, SupernetSearch):
            return module.space.inputs == "images"
        return isinstance(module, Training)

    def change(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if isinstance(module, Training):
            module.set_memory_format(torch.channels_last)
        elif isinstance(module, SupernetSearch):
            supernet: nn.Module = module.supernet
            supernet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
