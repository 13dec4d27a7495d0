"""Searches in stages: ops are pruned and the supernet is replaced as a new stage begins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from nas.architecture.cell import Cell
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Network
from nas.training.staged_lr import first_epoch, stage_of
from nas.utils.errors import NasError


class Stages(pl.Callback, ABC):
    """Divides a search into ``stages`` of equal length; a subclass says what happens as the next one begins.

    The search counts the epochs of its warm-up from the beginning of a stage. Which stage it is in is part of its
    checkpoint, and ``replay`` gives a resumed search the supernet of that stage before its tensors are read.
    """

    def __init__(self, stages: int) -> None:
        self.stages = stages

    @abstractmethod
    def enter(self, search: GradientSearch, stage: int) -> None:
        """Brings the search from the stage before to ``stage``, at the beginning of its first epoch."""

    @abstractmethod
    def replay(self, search: GradientSearch, stage: int, state: Mapping[str, Tensor]) -> None:
        """Gives the search the supernet of ``stage``, so that the tensors ``state`` of a checkpoint fit it."""

    @abstractmethod
    def prepare(self, search: GradientSearch) -> None:
        """Raises NasError where the search cannot go through the stages."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epochs = trainer.max_epochs
        if epochs is None or epochs < 1 or not isinstance(pl_module, GradientSearch):
            raise NasError("stages: a gradient search with trainer.max_epochs, to know how long a stage is")
        stage = stage_of(trainer.current_epoch, epochs, self.stages)
        pl_module.stage_began = first_epoch(stage, epochs, self.stages)
        while pl_module.stage < stage:
            pl_module.stage += 1
            self.enter(pl_module, pl_module.stage)


def strongest(cell: Cell, alpha: Tensor, mask: Tensor, count: int) -> Tensor:
    """[edges, ops] bool: the ``count`` largest of ``alpha`` on each edge among those of ``mask``.

    Where ``none`` alone would be left and may not be chosen, the best op that may be takes its place.
    """
    ranked = alpha.detach().masked_fill(~mask, -torch.inf)
    best = ranked.topk(min(count, len(cell.ops)), dim=-1).indices
    keep = torch.zeros_like(mask).scatter(-1, best, True) & mask
    choices = [[op in cell.choices(e) for op in cell.ops] for e in range(len(cell.edges))]
    choosable = torch.tensor(choices, device=mask.device) & mask
    substitute = F.one_hot(ranked.masked_fill(~choosable, -torch.inf).argmax(dim=-1), len(cell.ops)).bool()
    lost = ~(keep & choosable).any(dim=-1, keepdim=True) & choosable.any(dim=-1, keepdim=True)
    return torch.where(lost, substitute, keep)


def prune(search: GradientSearch, count: int) -> None:
    """Leaves each edge its ``count`` strongest ops. The alphas of the others become 0, those of the kept stay."""
    for name, alpha in search.relaxation.alpha.items():
        mask = search.masks.table(name)
        search.masks.restrict(name, strongest(search.space.cells[name], alpha, mask, count))
        with torch.no_grad():
            alpha.masked_fill_(~search.masks.table(name), 0.0)


def replace_supernet(
    search: GradientSearch, supernet: Network, carry: Callable[[str, Tensor], Tensor] | None = None
) -> None:
    """Puts ``supernet`` in the place of the search's own; the weight optimizer goes on with its parameters.

    ``carry`` maps a tensor of the optimizer's state to that of the parameter with the same name in the new
    supernet; without it the state is forgotten. Learning rate and scheduler stay as they are. All ranks of a
    distributed search must bring the same weights; those of the first are sent round anyway.
    """
    old = dict(search.supernet.named_parameters())
    like = next(iter(old.values()))
    supernet.to(like.device, like.dtype).train(search.supernet.training)
    search.supernet = supernet
    search._weights = dict(supernet.named_parameters())
    if search._trainer is None or not search.trainer.optimizers:
        return  # not yet training: a checkpoint is being read
    optimizer = search.trainer.optimizers[0]
    state: dict[Tensor, dict[str, Any]] = {}
    for name, weight in search._weights.items():
        found = optimizer.state.get(old[name]) if carry is not None and name in old else None
        if found is not None and carry is not None:
            state[weight] = {
                key: carry(name, value) if isinstance(value, Tensor) and value.shape == old[name].shape else value
                for key, value in found.items()
            }
    optimizer.state.clear()
    optimizer.state.update(state)
    optimizer.param_groups[0]["params"] = list(search._weights.values())
    _wrap_again(search)


def _wrap_again(search: GradientSearch) -> None:
    """DDP reduces the gradients of the parameters it was made with: it has to be made anew."""
    strategy = search.trainer.strategy
    wrapped = strategy.model
    if not isinstance(wrapped, DistributedDataParallel):
        return
    wrapped._remove_autograd_hooks()  # those of the parameters that stay would reduce a second time
    strategy.model = search
    strategy.configure_ddp()  # type: ignore[attr-defined]
