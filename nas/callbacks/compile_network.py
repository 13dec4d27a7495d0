"""Compilation of the network of a genotype with ``torch.compile``."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from nas.callbacks.activation_checkpointing import ActivationCheckpointing
from nas.callbacks.compile_switch import CompileSwitch, has_compiler, saves_time
from nas.callbacks.execution_switch import Mode, batch_size, count_run_macs
from nas.nn.compile_cost import estimate_network_compile
from nas.nn.depthwise import DepthwiseConv2d
from nas.nn.network_compiler import NetworkCompiler, is_compilable, remove_compiler
from nas.spaces.recurrent.step_compiler import StepCompiler, recurrent_cells, remove_step_compiler
from nas.training.base import BaseTraining
from nas.training.network_training import Training
from nas.utils.errors import NasError


class CompileNetwork(CompileSwitch):
    """Compile the cells of the trained network before its first step, in pieces (``NetworkCompiler``).

    A recurrent network has the time steps of its cell compiled (``StepCompiler``).

    Results are equal to those of eager steps up to rounding. A checkpoint of a compiled training resumes eagerly, and
    the reverse. PyTorch caches the generated code on disk ($TORCHINDUCTOR_CACHE_DIR), so a second run does not compile
    again. With ``mode="auto"``, a training in one process is compiled if the network has no depthwise convolutions and
    compilation saves more time than it takes, by an estimate.

    Args:
        mode, backend: see ``CompileSwitch``.

    Raises:
        NasError: if ``backend`` is unknown, and in ``setup`` if ``mode`` is True and the network cannot be compiled.
    """

    def __init__(self, mode: Mode = "auto", backend: str = "inductor") -> None:
        super().__init__(mode, backend)
        self._compiler: NetworkCompiler | StepCompiler | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.mode is not True or stage != "fit":
            return
        if _is_checkpointed(trainer):
            raise NasError(
                "compile=true: compiled cells do not support activation_checkpointing=true. Use compile=false."
            )
        if not self.applies(trainer, pl_module):
            raise NasError("compile=true: this network has no cells to compile. Use compile=auto.")

    def applies(self, trainer: pl.Trainer, module: pl.LightningModule) -> bool:
        if not isinstance(module, BaseTraining):
            return False
        return bool(recurrent_cells(module.network)) or is_compilable(module.network)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if self._selected and has_compiler(trainer, pl_module, self.backend):
            if isinstance(pl_module, BaseTraining) and recurrent_cells(pl_module.network):
                self._compiler = StepCompiler(self.backend)
            else:
                self._compiler = NetworkCompiler(batch_size(trainer), self.backend)

    def change(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self._compiler is not None and isinstance(module, BaseTraining):
            self._compiler.install(module.network)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(pl_module, BaseTraining):
            remove_compiler(pl_module.network)
            remove_step_compiler(pl_module.network)

    def pays(self, trainer: pl.Trainer, module: pl.LightningModule) -> bool:
        assert isinstance(module, Training)
        if trainer.world_size > 1 or _is_checkpointed(trainer):
            return False
        if any(isinstance(part, DepthwiseConv2d) for part in module.network.modules()):
            return False  # slower when compiled
        macs = count_run_macs(trainer, module)
        return saves_time(trainer, estimate_network_compile(module.network, macs, torch.get_num_threads()))


def _is_checkpointed(trainer: pl.Trainer) -> bool:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return any(isinstance(callback, ActivationCheckpointing) for callback in callbacks)
