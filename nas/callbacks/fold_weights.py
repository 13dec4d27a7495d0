"""Mixing weights of a supernet within its batch norms, and shared ReLUs."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from nas.callbacks.channels_last import LONG, Mode, count_run_macs, is_mode
from nas.nn.cell_graph import CellGraph
from nas.nn.compile_cost import estimate_seconds
from nas.nn.edges.folded import WeightFolding
from nas.nn.edges.mixed import MixedEdge
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.fused_cell_graph import FusedCellGraph
from nas.searches.base import SupernetSearch
from nas.utils.errors import NasError


class FoldWeights(pl.Callback):
    """Fold the mixing weights of a supernet into its batch norms (``WeightFolding``).

    Ops that begin with the ReLU of one node share it. Cells with partial channels, whose ops have few channels each,
    run node by node instead, unless the space sets ``fused`` (``FusedCellGraph``). Results are equal up to rounding,
    and random numbers are the same.

    Args:
        mode: True: fold. False: do not. "auto": fold on a CPU in a search of more than about ten minutes. The estimate
            depends only on the sizes of network and data.

    Raises:
        NasError: if ``mode`` is another value, and in ``setup`` if it is True and the search has no mixed edges.
    """

    def __init__(self, mode: Mode = "auto") -> None:
        if not is_mode(mode):
            raise NasError(f"fold_weights={mode}: use auto, true or false.")
        self.mode = mode
        self._executor = WeightFolding()
        self._chosen = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.mode is True and not (isinstance(pl_module, SupernetSearch) and _mixed_edges(pl_module)):
            raise NasError("fold_weights=true: this search has no mixed edges. Use fold_weights=auto.")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not isinstance(pl_module, SupernetSearch):
            return
        self._chosen = self.mode is True
        if self.mode == "auto" and pl_module.device.type == "cpu":
            self._chosen = estimate_seconds(count_run_macs(trainer, pl_module), torch.get_num_threads()) > LONG
        self._install(pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._install(pl_module)  # a search in stages replaces its supernet

    def _install(self, module: pl.LightningModule) -> None:
        if not self._chosen or not isinstance(module, SupernetSearch):
            return
        for graph in module.supernet.modules():
            if isinstance(graph, CellGraph):
                graph.share_relus()
            if isinstance(graph, FusedCellGraph) and graph.fused is None and graph.channel_divisor > 1:
                graph.fused = True
        for edge in _mixed_edges(module):
            edge.executor = self._executor


def _mixed_edges(search: SupernetSearch) -> list[MixedEdge]:
    """Return the edges of a supernet that ``WeightFolding`` can execute."""
    edges = [module for module in search.supernet.modules() if isinstance(module, MixedEdge)]
    return [edge for edge in edges if type(edge).forward in (MixedEdge.forward, PartialChannels.forward)]
