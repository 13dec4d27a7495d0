"""DrNAS' progressive search: fewer ops, and more channels through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor

from nas.callbacks.schedules.stages import Stages, prune, replace_supernet
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.net2wider import carry, widening
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Network
from nas.utils.errors import NasError


class Progressive(Stages):
    """In a new stage an edge has its ``keep`` strongest ops left, and 1/``portions`` of its channels run through them.

    Chen et al., ICLR 2021, section 3.3; both lists have one entry for each stage after the first. Weights and their
    momentum are carried over (see ``nas.nn.net2wider``, also for ``rescale``). ``rate`` is the learning rate in a new
    stage: it continues; or the authors' new optimizer begins at the initial rate, for one "epoch" under the closed
    schedulers of their torch 1.3, or for the whole "stage", raised by the same factor, under those since 1.4.
    """

    def __init__(
        self,
        keep: Sequence[int],
        portions: Sequence[int],
        rescale: bool = False,
        rate: Literal["continue", "epoch", "stage"] = "continue",
    ) -> None:
        if len(keep) != len(portions):
            raise NasError(f"Progressive: keep={list(keep)} and portions={list(portions)} need one entry a stage each")
        super().__init__(len(keep) + 1)
        self.keep = keep
        self.portions = portions
        self.rescale = rescale
        self.rate = rate
        self._rates: list[float] = []

    def prepare(self, search: GradientSearch) -> None:
        edges = [edge for edge in search.supernet.modules() if isinstance(edge, PartialChannels)]
        if not edges:
            raise NasError("Progressive: only partial channels can be widened: method.edge must be PartialChannels")
        ladder = [edges[0].portion, *self.portions]
        if ladder != sorted(ladder, reverse=True):
            raise NasError(f"Progressive: edges can become wider, not narrower: portions {ladder} must not grow")
        for portion in self.portions:
            bad = [edge.portion * edge.processed for edge in edges if edge.portion * edge.processed % portion]
            if bad:
                raise NasError(f"Progressive: 1/{portion} of {bad[0]} channels: make space.channels a multiple of it")

    def enter(self, search: GradientSearch, stage: int) -> None:
        prune(search, self.keep[stage - 1])
        old, new = search.supernet, self._supernet(search, stage)
        new.to(next(old.parameters()).dtype)
        plan = widening(old, new, search.relaxation.generator(torch.device("cpu")), self.rescale)
        with torch.no_grad():
            carry(plan, old, new)
        replace_supernet(search, new, lambda name, value: plan[name](value) if name in plan else value)
        if self.rate != "continue":
            groups = search.trainer.optimizers[0].param_groups
            self._rates = [group["lr"] for group in groups]
            for group in groups:
                group["lr"] = group["initial_lr"]

    def replay(self, search: GradientSearch, stage: int, state: Mapping[str, Tensor]) -> None:
        replace_supernet(search, self._supernet(search, stage))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.rate == "epoch" and self._rates:
            for group, rate in zip(trainer.optimizers[0].param_groups, self._rates, strict=True):
                group["lr"] = rate
        self._rates = []

    def _supernet(self, search: GradientSearch, stage: int) -> Network:
        """The supernet of a stage, with weights that are to be replaced: the draws of others stay as they were."""
        with torch.random.fork_rng(devices=[]):
            edge: Callable[..., Any] = search.edge
            return search.space.supernet(partial(edge, portion=self.portions[stage - 1]))
