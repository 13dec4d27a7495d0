"""Stages of DOTS: operation search in groups, then topology search with the best op of each group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.callbacks.schedules.scheduled_search import scheduled_search
from nas.callbacks.schedules.stages import replace_supernet
from nas.nn.edges.mixed import EdgeFactory
from nas.relaxations.topology import Topology
from nas.searches.arch_step import ArchStep
from nas.searches.compatibility import shares_pass, single_pass_needed
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.base import Network, Space
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, COUNT_OR_ZERO, DROP_PROBABILITY, POSITIVE, check_ranges


class Phases(NamedTuple):
    """First epochs of the operation search after its warm-up, of the topology stage, and of the topology search."""

    op_search: int
    topology: int
    topology_search: int


@check_ranges(
    op_epochs=COUNT,
    topology_epochs=COUNT,
    warmup_epochs=COUNT_OR_ZERO,
    start=POSITIVE,
    end=POSITIVE,
    betas=DROP_PROBABILITY,
)
class DotsStages(pl.Callback):
    """Search ops, then the topology of a new supernet with two ops per edge (Gu et al., CVPR 2021).

    Each stage begins with a warm-up that trains only the weights. At the beginning of the topology stage each edge
    keeps the best op of each group. Weights, alpha and the state of the optimizers are initialized again; the learning
    rate follows its schedule. The topology search has one level: one forward and one backward pass per batch update
    weights and architecture. Batches come alternately from both parts of the training images, so an epoch has as many
    steps as before and sees half of all images; an epoch of the authors' code sees all. The temperature falls
    exponentially from ``start`` to ``end`` in the topology search and is 1 before it.

    Args:
        op_epochs: published epochs of the operation stage. The run is divided in this proportion.
        topology_epochs: published epochs of the topology stage.
        warmup_epochs: published epochs of the warm-up of each stage.
        start: first temperature of the topology search.
        end: last temperature.
        betas: coefficients of Adam for the architecture in the topology stage.

    Raises:
        NasError: if an option is out of range, the relaxation is not ``Topology``, the steps cannot share a pass, or
            the architecture step has options that the stages set.
    """

    def __init__(
        self,
        op_epochs: int = 30,
        topology_epochs: int = 40,
        warmup_epochs: Sequence[int] = (15, 20),
        start: float = 10.0,
        end: float = 0.02,
        betas: Sequence[float] = (0.9, 0.999),
    ) -> None:
        if len(warmup_epochs) != 2 or warmup_epochs[0] > op_epochs or warmup_epochs[1] > topology_epochs:
            raise NasError(f"DotsStages: warmup_epochs={list(warmup_epochs)}: give two numbers, one within each stage.")
        if len(betas) != 2:
            raise NasError(f"DotsStages: betas={list(betas)}: give two numbers.")
        self.op_epochs = op_epochs
        self.topology_epochs = topology_epochs
        self.warmup_epochs = warmup_epochs
        self.start = start
        self.end = end
        self.betas = betas

    def phases(self, epochs: int) -> Phases:
        """Return the first epochs of the phases in a run of ``epochs``."""
        topology = math.ceil(epochs * self.op_epochs / (self.op_epochs + self.topology_epochs))
        first, second = self.warmup_epochs
        warm = math.floor((epochs - topology) * second / self.topology_epochs)
        return Phases(math.floor(topology * first / self.op_epochs), topology, topology + warm)

    def temperature(self, epoch: int, epochs: int) -> float:
        """Return the temperature in ``epoch`` (from 0) of a run of ``epochs``."""
        first = self.phases(epochs).topology_search
        if epoch < first:
            return 1.0
        return self.start * (self.end / self.start) ** ((epoch - first) / max(epochs - first - 1, 1))

    def check_edge(self, space: Space, edge: EdgeFactory) -> None:
        """Accept any edge."""

    def prepare(self, search: GradientSearch) -> None:
        if not isinstance(search.relaxation, Topology):
            raise NasError("DotsStages: method.relaxation has no pairs of edges. Set method.relaxation to Topology.")
        _check_steps(search.arch_step, search.weight_step)
        search.space.deepen(search.space.cells, 0)
        groups = [g for name in search.space.cells for g in search.relaxation.groups(name, search.masks.table(name))]
        if max(int(group.sum(dim=1).max()) for group in groups) < 2:
            raise NasError(
                f"DotsStages: space={search.space.name} has one op of each group per edge, so the operation search has "
                "no choice. Use space=darts."
            )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        (search, epochs), epoch = scheduled_search(self, trainer, pl_module), trainer.current_epoch
        if search.images_per_pass is not None:
            raise single_pass_needed("DotsStages")
        phases, step = self.phases(epochs), search.arch_step
        if epoch >= phases.topology and search.stage == 0:
            search.stage = 1
            self._enter(search)
        if search.stage == 1:
            step.single_level, search.step_order = True, "simultaneous"
        warm = (0, phases.op_search) if search.stage == 0 else (phases.topology, phases.topology_search)
        search.first_epoch_of_stage, step.warmup_epochs = warm[0], warm[1] - warm[0]
        search.relaxation.tau = self.temperature(epoch, epochs)  # type: ignore[assignment]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GradientSearch)
        warm = trainer.current_epoch - pl_module.first_epoch_of_stage < pl_module.arch_step.warmup_epochs
        if pl_module.stage == 1 and not warm and batch_idx % 2 and isinstance(batch, dict):
            batch["train"] = batch["val"]

    def _enter(self, search: GradientSearch) -> None:
        relaxation = search.relaxation
        assert isinstance(relaxation, Topology)
        for name, alpha in relaxation.alpha.items():
            keep = [best_of(alpha.detach(), group) for group in relaxation.groups(name, search.masks.table(name))]
            search.masks.restrict(name, keep[0] | keep[1])
        with torch.no_grad():
            for parameter in relaxation.parameters():
                parameter.zero_()
        seed = int(torch.randint(2**62, (), generator=relaxation.generator(torch.device("cpu"))))
        self._topology_stage(search, {name: search.masks.lists(name) for name in search.space.cells}, seed)
        for optimizer in search.trainer.optimizers[1:]:
            optimizer.state.clear()
            optimizer.param_groups[0]["betas"] = tuple(self.betas)

    def replay(self, search: GradientSearch, stage: int, state: Mapping[str, Tensor]) -> None:
        self._topology_stage(search, {name: state[f"masks.{name}"].tolist() for name in search.space.cells}, 0)

    @staticmethod
    def _topology_stage(search: GradientSearch, masks: Mapping[str, Sequence[Sequence[bool]]], seed: int) -> None:
        """Switch the relaxation to the topology search, with a supernet that has only the unmasked ops."""
        assert isinstance(search.relaxation, Topology)
        search.relaxation.topology = True
        cells = {name: cell.masked(masks[name]) for name, cell in search.space.cells.items()}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            supernet: Network = search.space.deepen(cells, 0).supernet(search.edge)
        replace_supernet(search, supernet)


def _check_steps(arch: ArchStep, weights: WeightStep) -> None:
    """Raise NasError if options of the steps have no effect in the stages."""
    for name in ("warmup_epochs", "warmup_share"):
        if getattr(arch, name):
            raise NasError(
                f"method.arch_step.{name}={getattr(arch, name)}: DotsStages sets the warm-up of each stage. Use "
                "method.callbacks.0.warmup_epochs."
            )
    if arch.single_level:
        raise NasError(
            "method.arch_step.single_level=true: DotsStages sets it: false in the operation stage, true in the "
            "topology stage. Leave it out; the lengths of the phases are method.callbacks.0.warmup_epochs, op_epochs "
            "and topology_epochs."
        )
    if not shares_pass(arch, weights) or weights.clip_params != "weights":
        raise NasError(
            "DotsStages: one pass updates weights and architecture in the topology stage, which needs the first-order "
            "gradient, clip_params=weights, and neither reward, perturbation nor alignment. Remove these options."
        )


def best_of(alpha: Tensor, mask: Tensor) -> Tensor:
    """Return a mask of the largest entry per row of ``alpha`` [edges, ops] where ``mask`` is True, if there is one."""
    ranked = alpha.masked_fill(~mask, -torch.inf)
    return F.one_hot(ranked.argmax(dim=-1), alpha.shape[-1]).bool() & mask
