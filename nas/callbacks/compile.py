"""Compilation of supernets by ``torch.compile``."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from nas.callbacks.compile_switch import CompileSwitch, has_compiler, saves_time
from nas.callbacks.execution_switch import Mode, batch_size, count_run_macs
from nas.nn.cell_graph import CellGraph
from nas.nn.compile_cost import estimate_compile
from nas.nn.depthwise import DepthwiseConv2d
from nas.nn.edges.compiler import EdgeCompiler
from nas.nn.edges.mixed import MixedEdge
from nas.nn.fused_cell_graph import FusedCellGraph
from nas.searches.base import SupernetSearch
from nas.searches.gradient import GradientSearch
from nas.searches.step_macs import sample_active
from nas.spaces.recurrent.step_compiler import StepCompiler, recurrent_cells
from nas.utils.errors import NasError


class CompileEdges(CompileSwitch):
    """Compile the edges of a supernet that mix several ops, before its first step (``EdgeCompiler``).

    A recurrent supernet has the time steps of its cell compiled instead (``StepCompiler``).

    Results are equal to those of eager steps up to rounding. A compiled search resumes eagerly, and the reverse. The
    generated code is cached on disk by PyTorch ($TORCHINDUCTOR_CACHE_DIR), so that a second run does not compile again.

    With ``mode="auto"``, edges are compiled if the supernet has no depthwise convolutions and the estimated search
    saves more time than the compilation takes.

    Args:
        mode, backend: see ``CompileSwitch``.

    Raises:
        NasError: if ``backend`` is unknown, and in ``setup`` if ``mode`` is True and there is nothing to compile.
    """

    def __init__(self, mode: Mode = "auto", backend: str = "inductor") -> None:
        super().__init__(mode, backend)
        self._compiler: EdgeCompiler | StepCompiler | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.mode is not True or stage != "fit" or mixes_ops(pl_module):
            return
        raise NasError(
            "compile=true: this search has no edges to compile: it samples ops, which gain nothing, or its cells are "
            "fused. Use compile=auto, or space.fused=false."
        )

    def applies(self, trainer: pl.Trainer, module: pl.LightningModule) -> bool:
        return mixes_ops(module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if self._selected and has_compiler(trainer, pl_module, self.backend):
            assert isinstance(pl_module, SupernetSearch)
            if recurrent_cells(pl_module.supernet):
                self._compiler = StepCompiler(self.backend)
            else:
                self._compiler = EdgeCompiler(batch_size(trainer), self.backend)

    def change(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if not isinstance(module, SupernetSearch):
            return
        if isinstance(self._compiler, StepCompiler):
            self._compiler.install(module.supernet)
        elif self._compiler is not None:
            for edge in _edges(module):
                edge.executor = self._compiler

    def pays(self, trainer: pl.Trainer, module: pl.LightningModule) -> bool:
        assert isinstance(module, SupernetSearch)
        if any(isinstance(part, DepthwiseConv2d) for part in module.supernet.modules()):
            return False  # compiled, edges with depthwise convolutions are slower
        macs = count_run_macs(trainer, module)
        return saves_time(trainer, estimate_compile(module.supernet, macs, torch.get_num_threads()))


def mixes_ops(module: pl.LightningModule) -> bool:
    """Return whether the edges or the recurrent cell of a search execute several ops each in a weight step."""
    if not isinstance(module, GradientSearch) or not (_edges(module) or recurrent_cells(module.supernet)):
        return False
    return any(sum(row) > 1 for rows in sample_active(module).values() for row in rows)


def _edges(search: SupernetSearch) -> list[MixedEdge]:
    """Return the edges that the cells of a supernet execute; fused cells execute the ops themselves."""
    graphs = [module for module in search.supernet.modules() if isinstance(module, CellGraph)]
    own = [graph for graph in graphs if not (isinstance(graph, FusedCellGraph) and graph.can_fuse and graph.fused)]
    return [edge for graph in own for edge in graph.edges.values() if isinstance(edge, MixedEdge)]
