"""Low-rank adaptation of candidate ops after a warm-up (LoRA in ConfigurableOptimizer)."""

from __future__ import annotations

from collections.abc import Mapping

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from nas.callbacks.schedules.stages import replace_supernet
from nas.nn.cell_graph import CellGraph
from nas.nn.edges.entangled import EntangledEdge
from nas.nn.edges.mixed import EdgeFactory
from nas.nn.low_rank import LowRankUpdate, adapt
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Space
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT_OR_ZERO, POSITIVE, Range, check_ranges


@check_ranges(rank=Range(1, 1000, whole=True), scale=POSITIVE, warmup_epochs=COUNT_OR_ZERO)
class LowRankAdaptation(pl.Callback):
    """Freeze the kernels of all candidate ops after a warm-up and train updates of low rank (``LowRankUpdate``).

    The warm-up trains all weights. Then every square kernel on an edge is frozen, strided skips included. Projections
    of the inputs of a cell, stem, classifier and norms are trained further. Momentum restarts at zero, and the learning
    rate follows its schedule. The updates are seeded by the relaxation's generator, so all ranks and resumed searches
    have the same ones.

    Args:
        rank: rank of the updates.
        scale: factor of the updates.
        warmup_epochs: number of epochs before the kernels are frozen.

    Raises:
        NasError: if an option is out of range, the supernet has no kernels that can be adapted, or the warm-up is as
            long as the search.
    """

    def __init__(self, rank: int, scale: float = 1.0, warmup_epochs: int = 0) -> None:
        self.rank = rank
        self.scale = scale
        self.warmup_epochs = warmup_epochs

    def check_edge(self, space: Space, edge: EdgeFactory) -> None:
        if getattr(edge, "func", edge) is EntangledEdge:
            raise NasError("LowRankAdaptation: method.edge=EntangledEdge shares kernels. Use another edge.")

    def prepare(self, search: GradientSearch) -> None:
        if not _kernels(search.supernet):
            raise NasError(f"LowRankAdaptation: space={search.space.name} has no candidate ops with kernels.")

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epochs = trainer.max_epochs
        if epochs is not None and 0 < epochs <= self.warmup_epochs:
            raise NasError(
                f"epochs={epochs}: LowRankAdaptation begins after a warm-up of {self.warmup_epochs} epochs. Use more "
                f"epochs, or method.arch_step.warmup_epochs={epochs // 3}."
            )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, GradientSearch)
        if pl_module.stage == 0 and trainer.current_epoch >= self.warmup_epochs:
            pl_module.stage = 1
            self._adapt(pl_module, pl_module.relaxation.generator(torch.device("cpu")))

    def replay(self, search: GradientSearch, stage: int, state: Mapping[str, Tensor]) -> None:
        self._adapt(search, torch.Generator())  # the updates are then loaded

    def _adapt(self, search: GradientSearch, generator: torch.Generator) -> None:
        for conv in _kernels(search.supernet):
            adapt(conv, LowRankUpdate(conv, self.rank, self.scale, generator))
        replace_supernet(search, search.supernet)


def _kernels(network: nn.Module) -> list[nn.Conv2d]:
    """Return the convolutions with square kernels on the edges of all cells."""
    graphs = [module for module in network.modules() if isinstance(module, CellGraph)]
    convs = [module for graph in graphs for module in graph.edges.modules() if isinstance(module, nn.Conv2d)]
    return [conv for conv in convs if conv.kernel_size[0] == conv.kernel_size[1]]
