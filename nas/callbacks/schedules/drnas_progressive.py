"""Stages of progressive DrNAS: fewer ops per edge, more channels through each op."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor

from nas.callbacks.schedules.stages import Stages, check_keep, prune, replace_supernet, stages_of
from nas.nn.edges.mixed import EdgeFactory
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.net2wider import copy_widened, plan_widening
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Network, Space
from nas.utils.errors import NasError
from nas.utils.ranges import CHANNELS, COUNT, check_ranges


@check_ranges(keep=COUNT, channel_divisors=CHANNELS)
class DrnasProgressive(Stages):
    """Prune ops and widen the partial channels at the beginning of each stage (Chen et al., ICLR 2021, section 3.3).

    Both lists have one entry for each stage after the first. Weights and their momentum are carried over to the wider
    supernet (``nas.nn.net2wider``).

    Args:
        keep: ops that each edge keeps.
        channel_divisors: K of the stage; 1/K of the channels go through the ops.
        rescale: count copied channels once, as Net2Wider does.
        rate: learning rate of a new stage. "continue" follows the schedule. The authors' script creates a new
            optimizer at the initial rate, which lasts one "epoch" under torch 1.3 and the whole "stage" since 1.4.

    Raises:
        NasError: if the lists differ in length, the edges are not ``PartialChannels``, a divisor grows, or the number
            of channels is not divisible.
    """

    def __init__(
        self,
        keep: Sequence[int],
        channel_divisors: Sequence[int],
        rescale: bool = False,
        rate: Literal["continue", "epoch", "stage"] = "continue",
    ) -> None:
        super().__init__(stages_of(self, keep=keep, channel_divisors=channel_divisors))
        self.keep = keep
        self.channel_divisors = channel_divisors
        self.rescale = rescale
        self.rate = rate
        self._rates: list[float] = []

    def check_edge(self, space: Space, edge: EdgeFactory) -> None:
        if getattr(edge, "func", edge) is not PartialChannels:
            raise NasError("DrnasProgressive: method.edge has no partial channels. Set method.edge to PartialChannels.")
        first = inspect.signature(edge).parameters["channel_divisor"].default
        divisors = [first, *self.channel_divisors]
        if divisors != sorted(divisors, reverse=True):
            raise NasError(f"DrnasProgressive: channel_divisors {divisors} grow. Give divisors that shrink.")
        channels, multiple = getattr(space, "channels", 0), math.lcm(*divisors)
        if channels % multiple:
            raise NasError(
                f"space.channels={channels}: the stages divide it by {', '.join(map(str, divisors))}. Use a multiple "
                f"of {multiple}, such as {math.ceil(channels / multiple) * multiple}."
            )

    def prepare(self, search: GradientSearch) -> None:
        check_keep(search, self.keep)

    def enter(self, search: GradientSearch, stage: int) -> None:
        prune(search, self.keep[stage - 1])
        old, new = search.supernet, self._supernet(search, stage)
        new.to(next(old.parameters()).dtype)
        plan = plan_widening(old, new, search.relaxation.generator(torch.device("cpu")), self.rescale)
        with torch.no_grad():
            copy_widened(plan, old, new)
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
        """Build the supernet of a stage. Its initial weights are replaced; the global random state does not change."""
        with torch.random.fork_rng(devices=[]):
            edge: Callable[..., Any] = search.edge
            return search.space.supernet(partial(edge, channel_divisor=self.channel_divisors[stage - 1]))
