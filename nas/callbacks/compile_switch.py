"""Base class of the options that compile a network with ``torch.compile``."""

from __future__ import annotations

import logging

import pytorch_lightning as pl

from nas.callbacks.execution_switch import ExecutionSwitch, Mode
from nas.nn.compile_cost import CompileEstimate
from nas.nn.edges.compiler import compile_backends, find_compiler_error
from nas.utils.errors import unknown

log = logging.getLogger(__name__)


class CompileSwitch(ExecutionSwitch):
    """Compile the trained network before its first step.

    Args:
        mode: see ``ExecutionSwitch``.
        backend: backend of ``torch.compile``.

    Raises:
        NasError: if ``backend`` is unknown.
    """

    option = "compile"

    def __init__(self, mode: Mode = "auto", backend: str = "inductor") -> None:
        super().__init__(mode)
        if backend != "inductor" and backend not in compile_backends():  # the list takes a second
            raise unknown("callbacks.compile.backend", backend, compile_backends())
        self.backend = backend


def has_compiler(trainer: pl.Trainer, module: pl.LightningModule, backend: str) -> bool:
    """Return whether ``torch.compile`` works on the device of a module, and log the reason if it does not."""
    problem = find_compiler_error(module.device, backend)
    if problem is not None and trainer.is_global_zero:
        log.warning("compile        not available, steps run eagerly: %s", problem)
    return problem is None


def saves_time(trainer: pl.Trainer, estimate: CompileEstimate) -> bool:
    """Return whether a compilation saves more time than it takes, and log the estimate if it does."""
    if estimate.pays and trainer.is_global_zero:
        log.info(
            "compile        up to %.0f s, which saves about %.0f s of %.0f s (compile=false: no compilation)",
            *(estimate.cost, estimate.saved, estimate.eager),
        )
    return estimate.pays
