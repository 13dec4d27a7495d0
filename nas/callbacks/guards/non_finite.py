"""Stop a run when a loss, a parameter or a buffer is NaN or infinite."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.func import functional_call

from nas.callbacks.recording.epoch_metrics import VALIDATION
from nas.gradients.base import Batch
from nas.nn.fused_cell_graph import unfused
from nas.searches.base import Observation, SupernetSearch
from nas.training.base import BaseTraining
from nas.training.language_model import LanguageModelTraining
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, check_ranges


@check_ranges(every=COUNT)
class StopOnNonFinite(pl.Callback):
    """Raise NasError on a NaN or infinite loss, naming the step and the first module that produced it.

    On the CPU each loss is checked before its step is taken. On other devices a check would synchronize, so losses are
    checked together every ``every`` steps and at the end of an epoch. Parameters and buffers, such as the statistics of
    batch norm, are checked after the last step of an epoch, and the metrics of a validation or test after it. This is
    before anything is saved: the checkpoint and the genotype of the last complete epoch stay valid.

    Args:
        every: steps between two checks on a device other than the CPU.

    Raises:
        NasError: if ``every`` is below 1.
    """

    def __init__(self, every: int = 50) -> None:
        self.every = every
        self._pending: list[tuple[int, Observation]] = []
        self._batch: Batch | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(pl_module, SupernetSearch):
            pl_module.observers.append(lambda seen: self._observe(trainer, pl_module, seen))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._batch = batch if isinstance(pl_module, BaseTraining) else None

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        if isinstance(pl_module, BaseTraining):
            self._observe(trainer, pl_module, Observation("train", loss.detach(), self._batch, {}))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batch = None
        last = trainer.is_last_batch
        if self._pending and ((batch_idx + 1) % self.every == 0 or last):
            finite = torch.stack([observation.loss for _, observation in self._pending]).isfinite().tolist()
            bad = next((entry for entry, ok in zip(self._pending, finite, strict=True) if not ok), None)
            self._pending.clear()
            if bad is not None:
                raise _error(trainer, pl_module, *bad)
        if last and (name := non_finite_tensor(pl_module)) is not None:
            half = "train" if isinstance(pl_module, BaseTraining) or name.startswith("supernet.") else "arch"
            where = f"epoch {trainer.current_epoch}, step {batch_idx}, its last"
            raise NasError(f"{where}: {_describe(pl_module, name)}; {_advice(trainer, pl_module, half)}")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            _check_metrics(trainer, pl_module, f"epoch {trainer.current_epoch}, validation")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _check_metrics(trainer, pl_module, "test")

    def _observe(self, trainer: pl.Trainer, module: pl.LightningModule, observation: Observation) -> None:
        step = trainer.fit_loop.epoch_loop.batch_idx
        if observation.loss.device.type != "cpu":
            self._pending.append((step, observation._replace(batch=None, arch={})))
        elif not bool(observation.loss.isfinite()):
            raise _error(trainer, module, step, observation)


def non_finite_tensor(module: nn.Module, buffers: bool = True) -> str | None:
    """Return the name of the first parameter or else buffer with a NaN or an infinity, None if all are finite.

    There is one device synchronization if all are finite.
    """
    named = [*module.named_parameters(), *(module.named_buffers() if buffers else ())]
    named = [(name, tensor) for name, tensor in named if tensor.is_floating_point()]
    if not named or bool(torch.stack([tensor.detach().isfinite().all() for _, tensor in named]).all()):
        return None
    return next(name for name, tensor in named if not bool(tensor.isfinite().all()))


def first_non_finite(module: pl.LightningModule, observation: Observation) -> str:
    """Describe the first module, in the order of execution, that turned finite inputs into non-finite outputs."""
    bad = non_finite_tensor(module, buffers=False)  # those of batch norm follow the images
    if bad is not None:
        return _describe(module, bad)
    if observation.batch is None:
        return "the module is unknown on this device (trainer=cpu names it)"
    if isinstance(observation.batch[0], Tensor) and not bool(observation.batch[0].isfinite().all()):
        return "the images of the batch are not finite (check the data set, its mean and std)"
    outputs = _bad_outputs(module, observation, observation.batch[0])
    if outputs:
        return f"the first module whose output is not finite is '{outputs[0]}'"
    return "all module outputs are finite, only the loss is not"


def _bad_outputs(module: pl.LightningModule, observation: Observation, x: Any) -> list[str]:
    """Run a forward pass and return the leaf modules with non-finite outputs, in the order of execution."""
    prefix = "supernet" if isinstance(module, SupernetSearch) else "network"
    network: nn.Module = getattr(module, prefix)
    outputs: list[str] = []

    def watch(name: str) -> Any:
        def hook(leaf: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not bool(output.isfinite().all()):
                outputs.append(f"{prefix}.{name}")

        return hook

    leaves = [(n, m) for n, m in network.named_modules() if not list(m.children())]
    handles = [leaf.register_forward_hook(watch(name)) for name, leaf in leaves]
    try:
        with unfused(network), torch.no_grad():
            buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
            functional_call(network, buffers, (x, observation.arch or None))
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def _error(trainer: pl.Trainer, module: pl.LightningModule, step: int, observation: Observation) -> NasError:
    return NasError(
        f"{observation.phase} loss is {float(observation.loss)} in epoch {trainer.current_epoch}, step {step}: "
        f"{first_non_finite(module, observation)}; {_advice(trainer, module, observation.phase)}"
    )


def _check_metrics(trainer: pl.Trainer, module: pl.LightningModule, where: str) -> None:
    """Raise NasError if a metric of a validation or test is not finite."""
    for name, value in trainer.callback_metrics.items():
        if name.startswith(VALIDATION) and not math.isfinite(value):
            bad = non_finite_tensor(module)
            reason = "all parameters and buffers are finite" if bad is None else _describe(module, bad)
            raise NasError(f"{where}: {name} is {float(value)}: {reason}; {_advice(trainer, module, 'train')}")


def _describe(module: nn.Module, name: str) -> str:
    kind = "parameter" if name in dict(module.named_parameters()) else "buffer"
    return f"the first {kind} that is not finite is '{name}'"


def _advice(trainer: pl.Trainer, module: pl.LightningModule, half: str) -> str:
    kept = next((_path(c) for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)), "")
    last = f"the last good checkpoint is {kept}" if kept else "there is no checkpoint yet"
    change = "method.weight_step.optimizer.lr or a smaller method.weight_step.clip_norm"
    if isinstance(module, BaseTraining):
        key = "text_training" if isinstance(module, LanguageModelTraining) else "training"
        change = f"{key}.optimizer.lr or a smaller {key}.clip_norm"
    elif half == "arch":
        change = "method.arch_step.optimizer.lr or method.weight_step.optimizer.lr"
    return f"{last}; a new run with a lower {change} usually helps"


def _path(callback: ModelCheckpoint) -> str:
    """Return the path of the last checkpoint, also after its run directory was moved."""
    here = Path(callback.dirpath or "", Path(callback.best_model_path).name)
    return str(here) if here.is_file() else callback.best_model_path
