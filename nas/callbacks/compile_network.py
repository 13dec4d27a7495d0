"""Compilation of the network of a genotype with ``torch.compile``."""

from __future__ import annotations

import logging

import pytorch_lightning as pl
import torch

from nas.callbacks.activation_checkpointing import ActivationCheckpointing
from nas.callbacks.channels_last import Mode, batch_size, count_run_macs, is_mode
from nas.nn.compile_cost import estimate_network_compile
from nas.nn.edges.compiler import find_compiler_error
from nas.nn.network_compiler import NetworkCompiler, is_compilable, remove_compiler
from nas.training.network_training import Training
from nas.utils.errors import NasError

log = logging.getLogger(__name__)


class CompileNetwork(pl.Callback):
    """Compile the cells of the trained network before its first step, in pieces (``NetworkCompiler``).

    Results are equal to those of eager steps up to rounding. A checkpoint of a compiled training
    resumes eagerly, and the reverse. PyTorch caches the generated code on disk ($TORCHINDUCTOR_CACHE_DIR), so a second
    run does not compile again.

    Args:
        mode: True: compile. False: do not. "auto": compile on a CPU, in one process, if the estimated training saves
            more time than the compilation takes. The estimate depends only on the sizes of network and data.
        backend: backend of ``torch.compile``.

    Raises:
        NasError: if ``mode`` is another value, and in ``setup`` if it is True and the network cannot be compiled.
    """

    def __init__(self, mode: Mode = "auto", backend: str = "inductor") -> None:
        if not is_mode(mode):
            raise NasError(f"compile={mode}: use auto, true or false.")
        self.mode = mode
        self.backend = backend

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.mode is not True or stage != "fit":
            return
        if _is_checkpointed(trainer):
            raise NasError(
                "compile=true: compiled cells do not support activation_checkpointing=true. Use compile=false."
            )
        if not isinstance(pl_module, Training) or not is_compilable(pl_module.network):
            raise NasError("compile=true: this network has no cells to compile. Use compile=auto.")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.mode is False or not isinstance(pl_module, Training) or not is_compilable(pl_module.network):
            return
        if self.mode == "auto" and not self._pays(trainer, pl_module):
            return
        problem = find_compiler_error(pl_module.device, self.backend)
        if problem is None:
            NetworkCompiler(batch_size(trainer), self.backend).install(pl_module.network)
        elif trainer.is_global_zero:
            log.warning("compile        not available, steps run eagerly: %s", problem)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(pl_module, Training):
            remove_compiler(pl_module.network)

    def _pays(self, trainer: pl.Trainer, training: Training) -> bool:
        if training.device.type != "cpu" or trainer.world_size > 1 or _is_checkpointed(trainer):
            return False
        macs = count_run_macs(trainer, training)
        estimate = estimate_network_compile(training.network, macs, torch.get_num_threads())
        if estimate.pays and trainer.is_global_zero:
            log.info(
                "compile        up to %.0f s, which saves about %.0f s of %.0f s (compile=false: no compilation)",
                *(estimate.cost, estimate.saved, estimate.eager),
            )
        return estimate.pays


def _is_checkpointed(trainer: pl.Trainer) -> bool:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return any(isinstance(callback, ActivationCheckpointing) for callback in callbacks)
