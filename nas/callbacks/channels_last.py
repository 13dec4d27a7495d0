"""Memory format of the trained network."""

from __future__ import annotations

import logging
from typing import Literal

import pytorch_lightning as pl
import torch
from torch import nn

from nas.data.base import ImageData
from nas.nn.compile_cost import estimate_seconds
from nas.nn.macs import count_macs
from nas.searches.base import SupernetSearch
from nas.searches.step_macs import count_step_macs
from nas.training.network_training import Training
from nas.utils.errors import NasError

log = logging.getLogger(__name__)
Mode = Literal["auto"] | bool
LONG = 600.0
"""Estimated seconds of a run from which "auto" changes the memory format."""


class ChannelsLast(pl.Callback):
    """Store the convolutions of the trained network in the channels-last memory format.

    Their outputs then have this format. Convolutions and batch norm are faster in it on a CPU. Results are equal up to
    rounding.

    Args:
        mode: True: channels last. False: PyTorch's default. "auto": channels last on a CPU in a run of more than
            about ten minutes. The estimate depends only on the sizes of network and data.

    Raises:
        NasError: if ``mode`` is another value, and in ``setup`` if it is True and the search has no supernet.
    """

    def __init__(self, mode: Mode = "auto") -> None:
        if not is_mode(mode):
            raise NasError(f"channels_last={mode}: use auto, true or false.")
        self.mode = mode
        self._chosen = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.mode is True and not isinstance(pl_module, SupernetSearch | Training):
            raise NasError("channels_last=true: this search trains no supernet. Use channels_last=auto.")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not isinstance(pl_module, SupernetSearch | Training):
            return
        self._chosen = self.mode is True
        if self.mode == "auto" and pl_module.device.type == "cpu":
            self._chosen = estimate_seconds(count_run_macs(trainer, pl_module), torch.get_num_threads()) > LONG
        self._convert(pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._convert(pl_module)  # a search in stages replaces its supernet

    def _convert(self, module: pl.LightningModule) -> None:
        if self._chosen and isinstance(module, Training):
            module.set_memory_format(torch.channels_last)
        elif self._chosen and isinstance(module, SupernetSearch):
            supernet: nn.Module = module.supernet
            supernet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def is_mode(value: object) -> bool:
    """Return whether ``value`` is "auto", True or False."""
    return value == "auto" or isinstance(value, bool)


def batch_size(trainer: pl.Trainer) -> int:
    """Return the number of images in a batch of a step."""
    data = getattr(trainer, "datamodule", None)
    assert isinstance(data, ImageData)
    return data.batch_size


def count_run_macs(trainer: pl.Trainer, module: SupernetSearch | Training) -> float:
    """Return the multiply-adds of all steps of a run; a step of a training has three passes."""
    data = getattr(trainer, "datamodule", None)
    assert isinstance(data, ImageData)
    images = float(trainer.num_training_batches) * data.batch_size * max(trainer.max_epochs or 1, 1)
    if isinstance(module, Training):
        return 3 * count_macs(module.network, data.shape) * images
    return count_step_macs(module) * images
