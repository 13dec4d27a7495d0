"""Mixing weights of a supernet within its batch norms, and shared ReLUs."""

from __future__ import annotations

import pytorch_lightning as pl

from nas.callbacks.compile import CompileEdges
from nas.callbacks.execution_switch import ExecutionSwitch
from nas.nn.cell_graph import CellGraph
from nas.nn.edges.compiler import EdgeCompiler
from nas.nn.edges.folded import WeightFolding
from nas.nn.edges.mixed import MixedEdge
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.fused_cell_graph import FusedCellGraph
from nas.nn.ops import Noise
from nas.searches.base import SupernetSearch
from nas.utils.errors import NasError


class FoldWeights(ExecutionSwitch):
    """Fold the mixing weights of a supernet into its batch norms (``WeightFolding``).

    Ops that begin with the ReLU of one node share it. Cells with partial channels, whose ops have few channels each,
    run node by node instead, unless the space sets ``fused`` (``FusedCellGraph``). Results are equal up to rounding,
    and random numbers are the same.

    Raises:
        NasError: in ``setup`` if ``mode`` is True and the search has no mixed edges.
    """

    option = "fold_weights"

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.mode is True and not (isinstance(pl_module, SupernetSearch) and _mixed_edges(pl_module)):
            raise NasError("fold_weights=true: this search has no mixed edges. Use fold_weights=auto.")

    def change(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, SupernetSearch)
        compiled = any(isinstance(other, CompileEdges) and other.mode is True for other in _callbacks(trainer))
        for graph in module.supernet.modules():
            if isinstance(graph, CellGraph):
                graph.share_relus()
            if isinstance(graph, FusedCellGraph) and graph.fused is None and not compiled and _suits_fusion(graph):
                graph.fused = True
        executor = WeightFolding()
        for edge in _mixed_edges(module):
            if not isinstance(edge.executor, EdgeCompiler):
                edge.executor = executor


def _callbacks(trainer: pl.Trainer) -> list[pl.Callback]:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return callbacks


def _suits_fusion(graph: FusedCellGraph) -> bool:
    """Return whether a cell has partial channels, and no noise, which would be sampled in another order."""
    return graph.channel_divisor > 1 and not any(isinstance(module, Noise) for module in graph.modules())


def _mixed_edges(search: SupernetSearch) -> list[MixedEdge]:
    """Return the edges of a supernet that ``WeightFolding`` can execute."""
    edges = [module for module in search.supernet.modules() if isinstance(module, MixedEdge)]
    return [edge for edge in edges if type(edge).forward in (MixedEdge.forward, PartialChannels.forward)]
