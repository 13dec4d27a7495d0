"""Searches in stages: pruning of ops and replacement of the supernet at the beginning of a stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from nas.architecture.cell import Cell
from nas.callbacks.schedules.scheduled_search import scheduled_search
from nas.nn.edges.mixed import EdgeFactory
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Network, Space
from nas.training.search_lr import first_epoch_of_stage, stage_at_epoch
from nas.utils.errors import NasError


class Stages(pl.Callback, ABC):
    """Divide a search into stages of equal length; subclasses define the transition between them.

    The warm-up of the search is counted from the beginning of each stage. The checkpoint stores the stage, and
    ``replay`` builds its supernet before the tensors of a checkpoint are loaded.
    """

    def __init__(self, stages: int) -> None:
        self.stages = stages

    @abstractmethod
    def enter(self, search: GradientSearch, stage: int) -> None:
        """Move the search from the previous stage to ``stage``, at the beginning of its first epoch."""

    @abstractmethod
    def replay(self, search: GradientSearch, stage: int, state: Mapping[str, Tensor]) -> None:
        """Give the search the supernet of ``stage``, which the tensors ``state`` of a checkpoint then fit."""

    def check_edge(self, space: Space, edge: EdgeFactory) -> None:
        """Accept any edge; a subclass raises NasError if the edges of a later stage do not fit the space."""

    @abstractmethod
    def prepare(self, search: GradientSearch) -> None:
        """Raise NasError if the search cannot run these stages."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        search, epochs = scheduled_search(self, trainer, pl_module)
        stage = stage_at_epoch(trainer.current_epoch, epochs, self.stages)
        search.first_epoch_of_stage = first_epoch_of_stage(stage, epochs, self.stages)
        while search.stage < stage:
            search.stage += 1
            self.enter(search, search.stage)


def stages_of(callback: Stages, **lists: Sequence[int]) -> int:
    """Return the number of stages of lists with one entry per stage after the first.

    Raises:
        NasError: if the lists differ in length.
    """
    first, *others = map(len, lists.values())
    if any(length != first for length in others):
        given = ", ".join(f"{name}={list(values)}" for name, values in lists.items())
        raise NasError(f"{type(callback).__name__}: {given}: lengths differ. Give one entry per stage after the first.")
    return first + 1


def top_ops(cell: Cell, alpha: Tensor, mask: Tensor, count: int) -> Tensor:
    """Return a mask [edges, ops] of the ``count`` largest alphas per edge among the ops of ``mask``.

    If only ``none`` would remain and a genotype cannot contain it, the best op that it can contain is kept instead.
    """
    ranked = alpha.detach().masked_fill(~mask, -torch.inf)
    best = ranked.topk(min(count, len(cell.ops)), dim=-1).indices
    keep = torch.zeros_like(mask).scatter(-1, best, True) & mask
    choices = [[op in cell.choices(e) for op in cell.ops] for e in range(len(cell.edges))]
    choosable = torch.tensor(choices, device=mask.device) & mask
    substitute = F.one_hot(ranked.masked_fill(~choosable, -torch.inf).argmax(dim=-1), len(cell.ops)).bool()
    lost = ~(keep & choosable).any(dim=-1, keepdim=True) & choosable.any(dim=-1, keepdim=True)
    return torch.where(lost, substitute, keep)


def check_keep(search: GradientSearch, keep: Sequence[int]) -> None:
    """Raise NasError unless each stage keeps at most as many ops per edge as the stage before it."""
    ops = min(len(cell.ops) for cell in search.space.cells.values())
    if any(later > earlier for earlier, later in pairwise([ops, *keep])):
        raise NasError(
            f"method.callbacks: keep={list(keep)}: space={search.space.name} has {ops} ops per edge. Use numbers that "
            f"fall from at most {ops}."
        )


def prune(search: GradientSearch, count: int) -> None:
    """Keep the ``count`` best ops of each edge and set the alphas of all other ops to 0."""
    for name, alpha in search.relaxation.alpha.items():
        mask = search.masks.table(name)
        search.masks.restrict(name, top_ops(search.space.cells[name], alpha, mask, count))
        with torch.no_grad():
            alpha.masked_fill_(~search.masks.table(name), 0.0)


def replace_supernet(
    search: GradientSearch, supernet: Network, carry: Callable[[str, Tensor], Tensor] | None = None
) -> None:
    """Replace the supernet of a search and register its parameters with the weight optimizer.

    Learning rate and scheduler do not change. On several ranks the weights of the first rank are broadcast.

    Args:
        search: the search whose supernet is replaced.
        supernet: the new supernet, on any device.
        carry: maps (parameter name, state tensor) to the state tensor of the parameter with the same name in the new
            supernet. Without it the optimizer state is cleared.
    """
    old = dict(search.supernet.named_parameters())
    search.replace_supernet(supernet)
    optimizer = search.weight_optimizer()
    if optimizer is None:
        return  # a checkpoint is being loaded before the training starts
    state: dict[Tensor, dict[str, Any]] = {}
    for name, weight in search.weights.items():
        optimizer_state = optimizer.state.get(old[name]) if carry is not None and name in old else None
        if optimizer_state is not None and carry is not None:
            state[weight] = {
                key: carry(name, value) if isinstance(value, Tensor) and value.shape == old[name].shape else value
                for key, value in optimizer_state.items()
            }
    optimizer.state.clear()
    optimizer.state.update(state)
    optimizer.param_groups[0]["params"] = list(search.weights.values())
    _wrap_again(search)


def _wrap_again(search: GradientSearch) -> None:
    """Wrap the search in DDP again, which only reduces gradients of the parameters it was created with."""
    strategy = search.trainer.strategy
    wrapped = strategy.model
    if not isinstance(wrapped, DistributedDataParallel):
        return
    wrapped._remove_autograd_hooks()  # otherwise remaining parameters would be reduced twice
    strategy.model = search
    strategy.configure_ddp()  # type: ignore[attr-defined]
