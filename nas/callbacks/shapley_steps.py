"""Architecture steps along the Shapley values of candidate ops (Shapley-NAS)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, repeat
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from nas.architecture.cell import Architecture, EdgeWeights
from nas.callbacks.interruptible import interruptible
from nas.callbacks.schedules.scheduled_search import scheduled_search
from nas.data.move_batch import move_batch
from nas.gradients.base import Batch
from nas.gradients.shapley import contributions, lower_estimate, standardize
from nas.searches.gradient import GradientSearch
from nas.searches.within_limits import percent_over_limits
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, DROP_PROBABILITY, PROBABILITY, check_ranges


class Player(NamedTuple):
    """A player of the game: an entry of a parameter of the relaxation, such as an op of ``alpha.normal``."""

    parameter: str
    position: int
    """Position in the flattened parameter."""


@check_ranges(samples=COUNT, batches=COUNT, threshold=PROBABILITY, momentum=DROP_PROBABILITY)
class ShapleySteps(pl.Callback):
    """Move alpha along the Shapley values of the ops, once per epoch (Xiao et al., CVPR 2022).

    The players are the remaining ops of all edges with a choice. If the relaxation has edge weights
    (``EdgeNormalized``), the edges are players, too. The value of a set of players is the validation accuracy of the
    supernet in which the mixing weights of all other players are 0. The remaining weights are not normalized again.
    Language models have the mean log-likelihood as their value. Batch norm uses the statistics of the batch, and the
    supernet does not change.

    A step begins each epoch after the warm-up of the architecture step. It estimates the values by random permutations
    (``contributions``), subtracts their standard deviation, and standardizes them per cell type. Their moving average
    is the negative gradient of the architecture optimizer. The search must have ``arch_step.per_batch=false``. The
    permutations are those of the relaxation's generator, so they are equal on all ranks.

    Args:
        samples: permutations per estimate.
        batches: validation batches per permutation. Each permutation takes the next ones.
        threshold: share of the accuracy of the supernet below which the remaining ops of a permutation contribute 0.
        momentum: share of the old average that each estimate keeps.

    Raises:
        NasError: if an option is out of range, the data has no validation part, or other steps train alpha.
    """

    def __init__(self, samples: int = 10, batches: int = 2, threshold: float = 0.5, momentum: float = 0.8) -> None:
        self.samples = samples
        self.batches = batches
        self.threshold = threshold
        self.momentum = momentum
        self.average: dict[str, Tensor] = {}
        """Moving average of the standardized values by parameter, float64 on the CPU."""

    def state_dict(self) -> dict[str, Any]:
        return {"average": self.average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.average = dict(state_dict["average"])

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if not getattr(trainer.datamodule, "bilevel", True):  # type: ignore[attr-defined]
            raise NasError("dataset.bilevel=false: ShapleySteps needs validation images. Set dataset.bilevel=true.")
        if isinstance(pl_module, GradientSearch) and pl_module.arch_step.optimizer is None:
            raise NasError(
                "method.arch_step.optimizer=null: ShapleySteps needs an optimizer of alpha. Use "
                "method.arch_step.optimizer._target_=torch.optim.SGD."
            )
        if isinstance(pl_module, GradientSearch) and pl_module.arch_step.per_batch:
            raise NasError(
                "method.arch_step.per_batch=true: ShapleySteps takes the architecture steps. Set "
                "method.arch_step.per_batch=false."
            )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        search, epochs = scheduled_search(self, trainer, pl_module)
        warm = search.first_epoch_of_stage + search.arch_step.warmup_length(epochs)
        players = list(players_of(search)) if trainer.current_epoch >= warm else []
        if not players:
            return
        self.update_average(search, players, self.estimate(trainer, search, players))
        grads = [
            -self.average[name].to(p) if name in self.average else torch.zeros_like(p)
            for name, p in search.relaxation.named_parameters()
        ]
        search.arch_step.apply(search, search.relaxation, grads, search.wrapped_optimizers()[1])

    def estimate(self, trainer: pl.Trainer, search: GradientSearch, players: Sequence[Player]) -> Tensor:
        """Return the estimated values [players], float64 on the CPU."""
        weights = dict(mixing_weights(search))
        generator = search.relaxation.generator(torch.device("cpu"))
        loaded = chain.from_iterable(repeat(trainer.datamodule.val_dataloader()))  # type: ignore[attr-defined]
        samples = []
        for _ in range(self.samples):
            batches = [move_batch(batch, search.device) for batch in islice(loaded, self.batches)]

            def value(removed: Sequence[int], batches: Sequence[Batch] = batches) -> Tensor:
                arch = architecture_without(search, weights, [players[i] for i in removed])
                score = self._score(trainer, search, batches, arch, log=not removed)
                return score - percent_over_limits(search, arch)

            order = torch.randperm(len(players), generator=generator).tolist()
            samples.append(contributions(value, order, self.threshold))
        return lower_estimate(torch.stack(samples))

    def update_average(self, search: GradientSearch, players: Sequence[Player], values: Tensor) -> None:
        """Standardize the values of each parameter and add them to the moving average."""
        for name, parameter in search.relaxation.named_parameters():
            rows = [i for i, player in enumerate(players) if player.parameter == name]
            if rows:
                table = torch.zeros(parameter.numel(), dtype=torch.float64)
                table[[players[i].position for i in rows]] = standardize(values[rows])
                table = (1 - self.momentum) * table.view(parameter.shape)
                self.average[name] = table + self.momentum * self.average.get(name, torch.zeros_like(table))

    @staticmethod
    def _score(
        trainer: pl.Trainer, search: GradientSearch, batches: Iterable[Batch], arch: Architecture, log: bool
    ) -> Tensor:
        """Return the mean score over batches and ranks. ``log`` adds it to the metrics of the architecture steps."""
        total, count = torch.zeros((), device=search.device), 0
        for batch in interruptible(trainer, batches):
            loss, score = search.evaluate(batch, arch)
            if log:
                search.observe("arch", loss, batch, arch)
                search.log_scores("arch", loss, score, len(batch[1]))
            total, count = total + len(batch[1]) * score, count + len(batch[1])
        mean: Tensor = trainer.strategy.reduce(total / count, reduce_op="mean")
        return mean


def players_of(search: GradientSearch) -> Iterator[Player]:
    """Yield the remaining ops of edges with a choice, and the edges whose weights are trained."""
    trained = dict(search.relaxation.named_parameters())
    for name in search.space.cells:
        rows = search.masks.lists(name)
        for edge, row in enumerate(rows):
            if sum(row) > 1:
                yield from (Player(f"alpha.{name}", edge * len(row) + column) for column, on in enumerate(row) if on)
        if f"beta.{name}" in trained:
            yield from (Player(f"beta.{name}", edge) for edge, row in enumerate(rows) if any(row))


def mixing_weights(search: GradientSearch) -> Iterator[tuple[str, Tensor]]:
    """Yield the scores of ops and, where edges are weighted, of edges, by the name of their parameter."""
    edges = search.relaxation.edge_scores(search.masks)
    for name, scores in search.relaxation.scores(search.masks).items():
        edge = edges[name]
        yield f"alpha.{name}", scores
        if edge is not None:
            yield f"beta.{name}", edge


def architecture_without(
    search: GradientSearch, weights: Mapping[str, Tensor], removed: Iterable[Player]
) -> Architecture:
    """Return the architecture of mixing weights with those of some players set to 0.

    All ops are executed, so that compiled edges keep their kernels.
    """
    kept = {name: torch.ones(table.numel()) for name, table in weights.items()}
    for player in removed:
        kept[player.parameter][player.position] = 0
    weights = {name: table * kept[name].view(table.shape).to(table) for name, table in weights.items()}
    return {
        name: EdgeWeights(weights[f"alpha.{name}"], search.masks.lists(name), weights.get(f"beta.{name}"))
        for name in search.space.cells
    }
