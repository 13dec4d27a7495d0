"""Base class of options that change the execution of a network, but not its results."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, ClassVar, Literal

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

Mode = Literal["auto"] | bool
LONG = 600.0
"""Estimated seconds from which a run is long for "auto"."""


class ExecutionSwitch(pl.Callback):
    """Change the execution of the trained network before its first step.

    A stage of a search that replaces its supernet changes the new one likewise. A checkpoint contains the selection of
    "auto", so that a resumed run has the same.

    Args:
        mode: True: change it. False: do not. "auto": select by ``pays`` on a CPU.

    Raises:
        NasError: if ``mode`` is another value.
    """

    option: ClassVar[str]
    """Name of the option in messages."""

    def __init__(self, mode: Mode = "auto") -> None:
        if mode != "auto" and not isinstance(mode, bool):
            raise NasError(f"{self.option}={mode}: use auto, true or false.")
        self.mode = mode
        self._restored: bool | None = None
        self._selected = False
        self._changed: Callable[[], nn.Module | None] = lambda: None

    def state_dict(self) -> dict[str, Any]:
        return {"selected": self._selected}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = bool(state_dict["selected"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.mode != "auto" or not self.applies(trainer, pl_module):
            self._selected = self.mode is True and self.applies(trainer, pl_module)
        elif not isinstance(getattr(trainer, "datamodule", None), ImageData):
            self._selected = False  # the estimates are those of image networks
        elif self._restored is not None:
            self._selected = self._restored
        else:
            self._selected = pl_module.device.type == "cpu" and self.pays(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        network = pl_module.supernet if isinstance(pl_module, SupernetSearch) else pl_module
        if self._selected and self._changed() is not network:
            self.change(trainer, pl_module)
            self._changed = weakref.ref(network)

    def applies(self, trainer: pl.Trainer, module: pl.LightningModule) -> bool:
        """Return whether the run trains a network that can be changed."""
        return isinstance(module, SupernetSearch)

    def pays(self, trainer: pl.Trainer, module: pl.LightningModule) -> bool:
        """Return whether "auto" selects the change on a CPU: by default, in runs of more than about ten minutes.

        The estimate depends only on the sizes of network and data and on the number of threads.
        """
        return estimate_seconds(count_run_macs(trainer, module), torch.get_num_threads()) > LONG

    def change(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Change the network of a module."""
        raise NotImplementedError


def batch_size(trainer: pl.Trainer) -> int:
    """Return the number of images in a pass of a step."""
    module = trainer.lightning_module
    size = module.images_per_pass if isinstance(module, SupernetSearch) else None
    return _data(trainer).batch_size if size is None else size


def count_run_macs(trainer: pl.Trainer, module: pl.LightningModule) -> float:
    """Return the multiply-adds of all steps of a run; a step of a training has three passes."""
    data = _data(trainer)
    images = float(trainer.num_training_batches) * data.batch_size * max(trainer.max_epochs or 1, 1)
    if isinstance(module, Training):
        return 3 * count_macs(module.network, data.shape) * images
    assert isinstance(module, SupernetSearch)
    return count_step_macs(module) * images


def _data(trainer: pl.Trainer) -> ImageData:
    data = getattr(trainer, "datamodule", None)
    assert isinstance(data, ImageData)
    return data
