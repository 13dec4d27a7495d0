"""Replay of the steps of a search on a GPU as CUDA graphs."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from nas.callbacks.execution_switch import ExecutionSwitch, Mode
from nas.gradients.base import nested_gradients
from nas.gradients.implicit import Implicit
from nas.nn.edges.mixed import MixedEdge
from nas.nn.replayed_pass import release_memory
from nas.searches.base import SupernetSearch
from nas.searches.gradient import GradientSearch
from nas.searches.graph_executor import GraphExecutor
from nas.searches.step_macs import sample_active
from nas.utils.errors import NasError


class CudaGraphs(ExecutionSwitch):
    """Capture the passes of training steps through the supernet as CUDA graphs, and replay them (``GraphExecutor``).

    Weight steps and architecture steps have graphs of their own, and sampled paths those of their edges. Results are
    those of eager steps. A search with graphs resumes without them, and the reverse. "auto" uses graphs on one GPU.

    Raises:
        NasError: in ``setup`` if ``mode`` is True and the search has no GPU or no passes to capture.
    """

    option = "cuda_graphs"

    def __init__(self, mode: Mode = False) -> None:
        super().__init__(mode)
        self._weights = 0  # identity of the weights by name
        self._stream: torch.cuda.Stream | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.mode is not True or stage != "fit":
            return
        if trainer.strategy.root_device.type != "cuda":
            raise NasError("cuda_graphs=true: this search uses no CUDA device. Use trainer=gpu, or cuda_graphs=auto.")
        if not self.applies(trainer, pl_module):
            raise NasError(
                "cuda_graphs=true: this search has no passes to capture: it uses several devices, has no edges, or may "
                "differentiate its steps twice. Use cuda_graphs=auto."
            )

    def applies(self, trainer: pl.Trainer, module: pl.LightningModule) -> bool:
        if trainer.world_size > 1 or not isinstance(module, GradientSearch) or _differentiates_twice(module):
            return False
        mixes = any(sum(row) > 1 for rows in sample_active(module).values() for row in rows)
        return mixes or any(isinstance(part, MixedEdge) for part in module.supernet.modules())

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        on_gpu = self.mode is not False and pl_module.device.type == "cuda"
        self._selected = on_gpu and self.applies(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        weights = id(getattr(pl_module, "weights", None))
        if weights != self._weights:  # a stage may add weights to the same supernet
            self._weights, self._changed = weights, lambda: None
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)

    def change(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, SupernetSearch)
        current = module.executor
        if isinstance(current, GraphExecutor) and not current.enabled:
            current.network = module.supernet  # what cannot be captured in one stage cannot be in the next
        elif current is None or isinstance(current, GraphExecutor):
            module.executor = None  # a cycle of references may keep the graphs of the last stage
            release_memory()
            self._stream = torch.cuda.Stream() if self._stream is None else self._stream
            gradients = nested_gradients(module.arch_step.gradient) if isinstance(module, GradientSearch) else []
            twice = any(isinstance(gradient, Implicit) for gradient in gradients)
            module.executor = GraphExecutor(module.supernet, not twice, self._stream, required=self.mode is True)


def _differentiates_twice(module: GradientSearch) -> bool:
    """Return whether the architecture gradient of a search may be a derivative of a gradient of the supernet.

    Gradients of users may be.
    """
    gradients = nested_gradients(module.arch_step.gradient)
    return any(getattr(gradient, "exact", False) or not _is_own(gradient) for gradient in gradients)


def _is_own(gradient: object) -> bool:
    return type(gradient).__module__.startswith("nas.gradients.")
