"""Stops a search when its loss is no longer a number."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.errors import NasError
from nas.searches.search import Observation, SupernetSearch


class StopOnNonFinite(pl.Callback):
    """Raises NasError on a NaN or infinite loss, naming the step and the first module that produced it.

    On the CPU each loss is looked at before its step is taken, so that nothing is spoiled. On other devices a
    look would stall the queue: they are looked at together every ``every`` steps and at the end of an epoch,
    before anything is saved. The checkpoint and the genotype of the last whole epoch stay as they are.
    """

    def __init__(self, every: int = 50) -> None:
        self.every = every
        self._pending: list[tuple[int, Observation]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(pl_module, SupernetSearch):
            pl_module.observers.append(lambda seen: self._observe(trainer, pl_module, seen))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._pending and ((batch_idx + 1) % self.every == 0 or trainer.is_last_batch):
            finite = torch.stack([seen.loss for _, seen in self._pending]).isfinite().tolist()
            bad = next((entry for entry, ok in zip(self._pending, finite, strict=True) if not ok), None)
            self._pending.clear()
            if bad is not None and isinstance(pl_module, SupernetSearch):
                raise self._error(trainer, pl_module, *bad)

    def _observe(self, trainer: pl.Trainer, search: SupernetSearch, seen: Observation) -> None:
        step = trainer.fit_loop.epoch_loop.batch_idx
        if seen.loss.device.type != "cpu":
            self._pending.append((step, seen._replace(batch=None)))
        elif not bool(seen.loss.isfinite()):
            raise self._error(trainer, search, step, seen)

    def _error(self, trainer: pl.Trainer, search: SupernetSearch, step: int, seen: Observation) -> NasError:
        culprit = first_non_finite(search, seen)
        checkpoint = next(
            (c.best_model_path for c in trainer.checkpoint_callbacks if getattr(c, "best_model_path", "")), ""
        )
        kept = f"the last good checkpoint is {checkpoint}" if checkpoint else "there is no checkpoint yet"
        return NasError(
            f"{seen.half} loss is {float(seen.loss)} in epoch {trainer.current_epoch}, step {step}: {culprit}; {kept}; "
            "a lower method.weight_optimizer.lr or a smaller method.clip_norm usually helps"
        )


def first_non_finite(search: SupernetSearch, seen: Observation) -> str:
    """Which module turned finite inputs into something else, in the order of execution."""
    for name, parameter in search.named_parameters():
        if not bool(parameter.isfinite().all()):
            return f"the first parameter that is not finite is '{name}'"
    if seen.batch is None:
        return "which module produced it is not known on this device (run the step with trainer=cpu to see)"
    if not bool(seen.batch[0].isfinite().all()):
        return "the images of the batch are not finite"
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and isinstance(output, Tensor) and not bool(output.isfinite().all()):
                found.append(name)

        return hook

    leaves = [(n, m) for n, m in search.supernet.named_modules() if not list(m.children())]
    handles = [module.register_forward_hook(watch(name)) for name, module in leaves]
    try:
        with torch.no_grad():
            buffers = {name: buffer.clone() for name, buffer in search.supernet.named_buffers()}
            functional_call(search.supernet, buffers, (seen.batch[0], seen.arch))
    finally:
        for handle in handles:
            handle.remove()
    if found:
        return f"the first module whose output is not finite is 'supernet.{found[0]}'"
    return "every module's output is finite, the loss itself is not"
