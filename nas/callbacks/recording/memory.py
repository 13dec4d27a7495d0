"""Estimate of the memory of a run before its first step."""

from __future__ import annotations

import logging

import pytorch_lightning as pl
from torch import Tensor
from torch.optim import Optimizer

from nas.callbacks.activation_checkpointing import ActivationCheckpointing
from nas.callbacks.execution_switch import batch_size
from nas.callbacks.recording.step_memory import StepMemory, estimate_step
from nas.data.base import ImageData
from nas.searches.gradient import GradientSearch
from nas.training.network_training import Training
from nas.utils.memory import available_memory, format_bytes, used_memory

log = logging.getLogger(__name__)


class MemoryEstimate(pl.Callback):
    """Log the estimated memory of a step before the first one, and warn if it does not fit (``estimate_step``).

    ``estimated_bytes`` adds it to the memory in use, for a comparison with the measured peak.
    """

    def __init__(self) -> None:
        self.estimated_bytes: int | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = getattr(trainer, "datamodule", None)
        if not isinstance(pl_module, GradientSearch | Training) or not isinstance(data, ImageData):
            return
        optimizers, device = trainer.optimizers, pl_module.device
        precision = trainer.precision_plugin.forward_context()
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        checkpointing = any(isinstance(callback, ActivationCheckpointing) for callback in callbacks)
        memory = estimate_step(pl_module, data.shape, optimizers, precision, checkpointing)
        images = batch_size(trainer)
        activations = memory.activations(images)
        missing = memory.gradients + memory.optimizer - sum(map(_state_bytes, optimizers)) + activations
        available, used = available_memory(device), used_memory(device)
        self.estimated_bytes = used + missing
        if trainer.is_global_zero:
            log.info("memory         %s", _describe(memory, self.estimated_bytes, activations, images, available))
            if available is not None and missing > available:
                log.warning("memory         %s", _advice(missing, available, memory, images, checkpointing))


def _describe(memory: StepMemory, total: int, activations: int, images: int, available: int | None) -> str:
    parts = {
        "parameters": memory.parameters,
        "gradients": memory.gradients,
        "optimizers": memory.optimizer,
        f"activations of {images} images": activations,
    }
    text = ", ".join(f"{name} {format_bytes(size)}" for name, size in parts.items())
    free = "" if available is None else f", {format_bytes(available)} available"
    return f"estimated peak {format_bytes(total)}{free}; a step: {text}"


def _advice(missing: int, available: int, memory: StepMemory, images: int, checkpointing: bool) -> str:
    fixed = missing - memory.activations(images)
    size = largest_batch(available - fixed, memory)
    smaller = f"dataset.batch_size={size}" if size else "a smaller network"
    other = "" if checkpointing else " or activation_checkpointing=true"
    return (
        f"a step needs an estimated {format_bytes(missing)}, and {format_bytes(available)} are available. Use "
        f"{smaller}{other}."
    )


def largest_batch(available: int, memory: StepMemory) -> int:
    """Return the largest power of two whose activations fit into ``available`` bytes, 0 if none does."""
    images = available // max(memory.image, 1)
    return 1 << (images.bit_length() - 1) if images > 0 else 0


def _state_bytes(optimizer: Optimizer) -> int:
    """Return the bytes of the current state of an optimizer, such as that of a resumed run."""
    values = (value for state in optimizer.state.values() for value in state.values())
    return sum(value.numel() * value.element_size() for value in values if isinstance(value, Tensor))
