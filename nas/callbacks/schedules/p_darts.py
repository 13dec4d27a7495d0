"""Stages of P-DARTS: fewer ops in a deeper, newly initialized supernet, and dropout on skip connections."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor

from nas.callbacks.schedules.scheduled_search import scheduled_search
from nas.callbacks.schedules.stages import Stages, check_keep, prune, replace_supernet, stages_of
from nas.nn.edges.skip_dropout import SkipDropout
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Network
from nas.training.search_lr import first_epoch_of_stage, stage_at_epoch
from nas.utils.ranges import COUNT, DROP_PROBABILITY, NOT_NEGATIVE, Range, check_ranges


@check_ranges(keep=COUNT, deeper=Range(0, 1000, whole=True), init_std=NOT_NEGATIVE)
class PDartsStages(Stages):
    """Prune ops and build a deeper supernet from scratch at the beginning of each stage (Chen et al., ICCV 2019).

    Both lists have one entry for each stage after the first. Weights, architecture parameters and optimizer states are
    initialized again; a scheduler such as ``nas.training.search_lr.StagedCosine`` restarts the learning rate. The new
    weights are seeded by the relaxation's generator, so a resumed search and all ranks get the same ones.

    Args:
        keep: ops that each edge keeps.
        deeper: cells added to the initial supernet.
        init_std: standard deviation of the new architecture parameters.

    Raises:
        NasError: if the lists differ in length.
    """

    def __init__(self, keep: Sequence[int], deeper: Sequence[int], init_std: float = 1e-3) -> None:
        super().__init__(stages_of(self, keep=keep, deeper=deeper))
        self.keep = keep
        self.deeper = deeper
        self.init_std = init_std

    def prepare(self, search: GradientSearch) -> None:
        for more in self.deeper:
            search.space.deepen(search.space.cells, more)
        check_keep(search, self.keep)

    def enter(self, search: GradientSearch, stage: int) -> None:
        prune(search, self.keep[stage - 1])
        generator = search.relaxation.generator(torch.device("cpu"))
        seed = int(torch.randint(2**62, (), generator=generator))
        with torch.no_grad():
            for parameter in search.relaxation.parameters():
                parameter.copy_(self.init_std * torch.randn(parameter.shape, generator=generator))
        masks = {name: search.masks.lists(name) for name in search.space.cells}
        replace_supernet(search, self._supernet(search, stage, masks, seed))
        for optimizer in search.trainer.optimizers[1:]:
            optimizer.state.clear()

    def replay(self, search: GradientSearch, stage: int, state: Mapping[str, Tensor]) -> None:
        masks = {name: state[f"masks.{name}"].tolist() for name in search.space.cells}
        replace_supernet(search, self._supernet(search, stage, masks, 0))

    def _supernet(
        self, search: GradientSearch, stage: int, masks: Mapping[str, Sequence[Sequence[bool]]], seed: int
    ) -> Network:
        cells = {name: cell.masked(masks[name]) for name, cell in search.space.cells.items()}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return search.space.deepen(cells, self.deeper[stage - 1]).supernet(search.edge)


@check_ranges(initial=DROP_PROBABILITY, decay=NOT_NEGATIVE)
class SkipDropoutSchedule(pl.Callback):
    """Schedule the dropout probability of identity skips (chenxin061/pdarts).

    In the warm-up of a stage the probability falls linearly toward 0 at the end of the stage. After the warm-up it
    returns to its initial value and decays exponentially.

    Args:
        initial: initial probability of each stage.
        decay: rate of the exponential decay, per epoch.
    """

    def __init__(self, initial: Sequence[float], decay: float = 0.2) -> None:
        self.initial = initial
        self.decay = decay

    def value(self, epoch: int, epochs: int, warmup: int) -> float:
        """Return the probability in ``epoch`` (from 0) of a run of ``epochs``."""
        stages = len(self.initial)
        stage = stage_at_epoch(epoch, epochs, stages)
        begin, end = first_epoch_of_stage(stage, epochs, stages), first_epoch_of_stage(stage + 1, epochs, stages)
        past = epoch - begin
        if past < warmup:
            return self.initial[stage] * (end - begin - past - 1) / (end - begin)
        return self.initial[stage] * math.exp(-self.decay * (past - warmup))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        search, epochs = scheduled_search(self, trainer, pl_module)
        for module in search.supernet.modules():
            if isinstance(module, SkipDropout):
                module.probability = self.value(trainer.current_epoch, epochs, search.arch_step.warmup_epochs)
