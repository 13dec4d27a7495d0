"""P-DARTS' stages: fewer ops in a deeper supernet that starts from scratch, and skips dropped less and less."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor

from nas.callbacks.schedules.stages import Stages, prune, replace_supernet
from nas.nn.edges.skip_dropout import SkipDropout
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Network
from nas.training.staged_lr import first_epoch, stage_of
from nas.utils.errors import NasError


class Restarts(Stages):
    """In a new stage an edge has its ``keep`` strongest ops left, and the supernet ``deeper`` cells more than at first.

    Chen et al., ICCV 2019; both lists have one entry for each stage after the first. Only the ops that are left are
    built. Weights, architecture parameters (``init_std``) and optimizers start anew; learning rates do so by a
    scheduler such as ``nas.training.staged_lr.StagedCosine``. The new weights follow from the relaxation's generator,
    so that they are those of an uninterrupted run, and the same on all ranks.
    """

    def __init__(self, keep: Sequence[int], deeper: Sequence[int], init_std: float = 1e-3) -> None:
        if len(keep) != len(deeper):
            raise NasError(f"Restarts: keep={list(keep)} and deeper={list(deeper)} need one entry a stage each")
        super().__init__(len(keep) + 1)
        self.keep = keep
        self.deeper = deeper
        self.init_std = init_std

    def prepare(self, search: GradientSearch) -> None:
        for more in self.deeper:
            search.space.deepened(search.space.cells, more)

    def enter(self, search: GradientSearch, stage: int) -> None:
        prune(search, self.keep[stage - 1])
        generator = search.relaxation.generator(torch.device("cpu"))
        seed = int(torch.randint(2**62, (), generator=generator))
        with torch.no_grad():
            for parameter in search.relaxation.parameters():
                parameter.copy_(self.init_std * torch.randn(parameter.shape, generator=generator))
        left = {name: search.masks.lists(name) for name in search.space.cells}
        replace_supernet(search, self._supernet(search, stage, left, seed))
        for optimizer in search.trainer.optimizers[1:]:
            optimizer.state.clear()

    def replay(self, search: GradientSearch, stage: int, state: Mapping[str, Tensor]) -> None:
        left = {name: state[f"masks.{name}"].tolist() for name in search.space.cells}
        replace_supernet(search, self._supernet(search, stage, left, 0))

    def _supernet(
        self, search: GradientSearch, stage: int, left: Mapping[str, Sequence[Sequence[bool]]], seed: int
    ) -> Network:
        cells = {name: cell.masked(left[name]) for name, cell in search.space.cells.items()}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return search.space.deepened(cells, self.deeper[stage - 1]).supernet(search.edge)


class DropSkips(pl.Callback):
    """The probability with which identity skips drop their elements, from ``initial``, one entry a stage.

    In the warm-up of a stage it falls linearly, as if to reach 0 at the stage's end; then it begins once more at
    the initial value and falls by exp(-``decay``) an epoch. Both as in chenxin061/pdarts.
    """

    def __init__(self, initial: Sequence[float], decay: float = 0.2) -> None:
        self.initial = initial
        self.decay = decay

    def value(self, epoch: int, epochs: int, warmup: int) -> float:
        """The probability in ``epoch`` (from 0) of a run of ``epochs``."""
        stages = len(self.initial)
        stage = stage_of(epoch, epochs, stages)
        begin, end = first_epoch(stage, epochs, stages), first_epoch(stage + 1, epochs, stages)
        past = epoch - begin
        if past < warmup:
            return self.initial[stage] * (end - begin - past - 1) / (end - begin)
        return self.initial[stage] * math.exp(-self.decay * (past - warmup))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epochs = trainer.max_epochs
        if epochs is None or epochs < 1 or not isinstance(pl_module, GradientSearch):
            raise NasError("DropSkips: a gradient search with trainer.max_epochs, to know how long a stage is")
        for module in pl_module.supernet.modules():
            if isinstance(module, SkipDropout):
                module.probability = self.value(trainer.current_epoch, epochs, pl_module.warmup_epochs)
