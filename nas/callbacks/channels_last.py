"""Memory format of the trained network."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from typing import Any, Literal

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


class Switch(pl.Callback):
    """A way to execute the trained network, which is selected at the start of a training.

    A checkpoint contains the selection of "auto", so that a resumed run has the same. The network is changed before its
    first step, and again if a stage of the search replaces it.
    """

    mode: Mode = "auto"

    def __init__(self) -> None:
        self._restored: bool | None = None
        self._chosen = False
        self._changed: Callable[[], nn.Module | None] = lambda: None

    def state_dict(self) -> dict[str, Any]:
        return {"chosen": self._chosen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = bool(state_dict["chosen"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.mode != "auto" or not self.applies(pl_module):
            self._chosen = self.mode is True and self.applies(pl_module)
        elif self._restored is not None:
            self._chosen = self._restored
        else:
            self._chosen = pl_module.device.type == "cpu" and self.pays(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        network = pl_module.supernet if isinstance(pl_module, SupernetSearch) else pl_module
        if self._chosen and self._changed() is not network:
            self.change(trainer, pl_module)
            self._changed = weakref.ref(network)

    def applies(self, module: pl.LightningModule) -> bool:
        """Return whether the module trains a network that can be changed."""
        return isinstance(module, SupernetSearch)

    def pays(self, trainer: pl.Trainer, module: pl.LightningModule) -> bool:
        """Return whether "auto" selects the change on a CPU: by default, in runs of more than about ten minutes."""
        return estimate_seconds(count_run_macs(trainer, module), torch.get_num_threads()) > LONG

    def change(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Change the network."""
        raise NotImplementedError


class ChannelsLast(Switch):
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
        super().__init__()
        self.mode = mode

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.mode is True and not isinstance(pl_module, SupernetSearch | Training):
            raise NasError("channels_last=true: this search trains no supernet. Use channels_last=auto.")

        if self.mode is True and isinstance(pl_module, Training):
            self.change(trainer, pl_module)  # before the strategy wraps the module: DDP's buckets have its strides

    def applies(self, module: pl.LightningModule) -> bool:
        return isinstance(module, SupernetSearch | Training)

    def change(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if isinstance(module, Training):
            module.set_memory_format(torch.channels_last)
        elif isinstance(module, SupernetSearch):
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


def count_run_macs(trainer: pl.Trainer, module: pl.LightningModule) -> float:
    """Return the multiply-adds of all steps of a run; a step of a training has three passes."""
    data = getattr(trainer, "datamodule", None)
    assert isinstance(data, ImageData)
    images = float(trainer.num_training_batches) * data.batch_size * max(trainer.max_epochs or 1, 1)
    if isinstance(module, Training):
        return 3 * count_macs(module.network, data.shape) * images
    assert isinstance(module, SupernetSearch)
    return count_step_macs(module) * images
