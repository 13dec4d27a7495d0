"""TE-NAS: search by pruning a supernet according to zero-cost proxies, without training."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from nas.architecture.cell import NONE, Genotype
from nas.architecture.discretization import discretize
from nas.architecture.masks import Masks
from nas.data.base import ImageData, Images
from nas.data.kinds import DataSet
from nas.data.proxy_batches import ProxyBatches
from nas.data.unloaded import unloaded
from nas.executors.base import Executor
from nas.executors.serial import Serial
from nas.proxies.proxy import Proxy
from nas.proxies.pruned import equal_weights
from nas.searches.base import Search
from nas.searches.pruning.candidate import (
    CandidateBuild,
    GroupWorkers,
    MeasurementOptions,
    Work,
    describe,
    measure_candidate,
    measurements,
)
from nas.searches.pruning.measure import Init, MeasurementKey, ProxyMeasurement
from nas.searches.pruning.options import STALE, check_options, check_proxy
from nas.searches.pruning.per_space import PerSpace, value_for_space
from nas.searches.pruning.ranking import (
    Candidate,
    CandidateScores,
    nodes_over_limit,
    prune_ops,
    removable_ops,
    rounds_needed,
    select_pruned,
    tie_sorted,
)
from nas.searches.pruning.rounds import CandidateDataModule, RoundProgress
from nas.searches.pruning.within_limits import keeps_within
from nas.spaces.base import Space
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, check_ranges

log = logging.getLogger(__name__)


@check_ranges(repeats=COUNT, prune_number=COUNT, ntk_batch=COUNT)
class PruningSearch(Search):
    """TE-NAS (Chen et al., ICLR 2021) with arbitrary proxies. An epoch is a round, a step measures candidates.

    A round measures the supernet without each remaining op, ranks the changes of each proxy, and prunes the ops with
    the smallest sums of ranks. A last round prunes the edges of each node that has too many.

    Args:
        space: the search space.
        proxies: the proxies that rank candidates.
        repeats: measurements per candidate, with different weights and inputs.
        prune_number: number of ops that an edge loses per round.
        ntk_batch: number of images for the proxy ntk.
        init: initialization of the measured networks, see ``ProxyMeasurement``.
        share_reference: use the same weights and inputs for all candidates of a round.
        stale_reference: names of proxies whose reference is not updated while edges are pruned.
        images: source of the measured images: "all" training images, or the part of the "weights".
        tie_order: op names in the order in which ops with equal ranks are pruned; others come last, as in the space.
        executor: executor of the measurements; None for this process.
        callbacks: callbacks that belong to the method.
        name: name of the method.

    Raises:
        NasError: if an option is out of range, or a proxy is not defined on the space.
    """

    def __init__(
        self,
        space: Space,
        proxies: Sequence[Proxy],
        repeats: int = 3,
        prune_number: PerSpace = 1,
        ntk_batch: PerSpace = 72,
        init: Init = "paper",
        share_reference: bool = True,
        stale_reference: Sequence[str] = STALE,
        images: Images = "all",
        tie_order: Sequence[str] = (),
        executor: Executor | None = None,
        callbacks: Sequence[pl.Callback] = (),
        name: str = "te_nas",
    ) -> None:
        super().__init__(space, name)
        check_options(proxies, repeats, stale_reference, tie_order or ())
        self.proxies = list(proxies)
        self.repeats = repeats
        self.prune_number = value_for_space(prune_number, space, "method.prune_number")
        self.ntk_batch = value_for_space(ntk_batch, space, "method.ntk_batch")
        self.init: Init = init
        self.share_reference = share_reference
        self.stale_reference = tuple(stale_reference)
        self.images: Images = images
        self.tie_order = tuple(tie_order or ())
        self.masks = Masks(space.cells)
        for cell_name, cell in space.cells.items():
            keep = torch.tensor([op != NONE for op in cell.ops])
            self.masks.restrict(cell_name, keep.expand(len(cell.edges), -1))
        self.trajectory: list[dict[str, float]] = []
        self.not_finite = 0
        self.executor = Serial() if executor is None else executor
        self.callbacks = list(callbacks)
        self._measurements: list[ProxyMeasurement] = []
        self._workers: GroupWorkers | None = None
        self._begin_round()
        self.register_buffer("seed", torch.randint(2**31, ()))
        self.idle = nn.Parameter(torch.zeros(1))  # for an optimizer without effect, whose steps Lightning counts
        for proxy in self.proxies:
            check_proxy(proxy, space, self._batch_size(proxy))

    def check_space(self, space: Space) -> None:
        if not space.has_thin_networks:
            raise NasError(
                f"method={self.name}: it measures thin networks of the remaining ops, which space={space.name} does "
                "not have. Use space=nas_bench_201 or darts."
            )

    def alive(self) -> dict[str, list[list[bool]]]:
        """Return the remaining ops of each edge of each cell type."""
        return {name: [list(row) for row in self.masks.lists(name)] for name in self.space.cells}

    def decided(self) -> bool:
        """Return whether one op remains on each edge, and no node has more edges than a genotype keeps."""
        return not removable_ops(self.alive()) and not nodes_over_limit(self.space.cells, self.alive())

    def has_ended(self) -> bool:
        return self.decided()

    def genotype(self) -> Genotype:
        """Return the genotype of the remaining ops: the first op of each edge that has several."""
        weights = equal_weights(self.alive(), torch.zeros(()))
        remaining = {name: cell.masked(self.masks.lists(name)) for name, cell in self.space.cells.items()}
        cells = {name: discretize(cell, weights[name].op) for name, cell in remaining.items()}
        return Genotype(self.space.notation, cells)

    def diagnostics(self) -> dict[str, float]:
        last = {name: value for name, value in (self.trajectory or [{}])[-1].items() if math.isfinite(value)}
        remaining = float(sum(sum(map(sum, rows)) for rows in self.alive().values()))
        return {**last, "ops_left": remaining, "not_finite": float(self.not_finite)}

    def configure_callbacks(self) -> list[pl.Callback]:
        return self.callbacks

    def batches(self, data: DataSet) -> CandidateDataModule:
        return CandidateDataModule(data, lambda: sum(map(len, self._candidates())))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.idle], lr=0.0)

    def setup(self, stage: str) -> None:
        self.trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]  # rounds differ in length

    def on_train_start(self) -> None:
        super().on_train_start()
        seed = int(self.get_buffer("seed"))
        data: ImageData = self.trainer.datamodule.data  # type: ignore[attr-defined]
        sizes = [self._batch_size(proxy) for proxy in self.proxies]
        options = MeasurementOptions(seed, self.init, self.share_reference, self.repeats, self.stale_reference)
        self._measurements = measurements(
            self.space, self.proxies, sizes, ProxyBatches(data, seed, self.images), options, self.device
        )
        if not isinstance(self.executor, Serial):
            build = CandidateBuild(self.space, self.proxies, sizes, unloaded(data), self.images, options)
            names = [proxy.name for proxy in self.proxies]
            self._workers = GroupWorkers(self.executor.start(build, self.device.type), names, options)
        allowed = (self.trainer.max_epochs or 0) - self.current_epoch
        needed = rounds_needed(self.space.cells, self.alive(), self.prune_number)
        if 0 <= allowed < needed:
            enough = self.current_epoch + needed
            log.warning("the search needs %d more rounds, but epochs allows %d. Set epochs=%d", needed, allowed, enough)

    def on_train_epoch_start(self) -> None:
        self._begin_round()
        if not self._groups:
            self.trainer.should_stop = True
        total = sum(map(len, self._groups)) * len(self.proxies) * self.repeats
        self._progress = RoundProgress(self.current_epoch + 1, total)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        return -1 if batch_idx >= self._steps() else None

    def training_step(self, batch: Any, batch_idx: int) -> None:
        work = [(group, candidate) for group in self._groups for candidate in group]
        steps = self._steps()
        for i in range(batch_idx * len(work) // steps, (batch_idx + 1) * len(work) // steps):
            group, candidate = work[i]
            self._group_scores.append(self._scores(group, candidate, i))
            if candidate is group[-1]:
                self._prune(group)
        self.optimizers().step()  # type: ignore[union-attr]
        if batch_idx == steps - 1:
            self._end_round()

    def close_workers(self) -> None:
        if self._workers is not None:
            self._workers.workers.close()
            self._workers = None

    def on_train_end(self) -> None:
        if not self.decided():
            log.warning(
                "method=%s ended after %d rounds with ops or edges left to prune. The genotype has the first of them, "
                "which no proxy has selected. Use more rounds (epochs=N)",
                self.name,
                len(self.trajectory),
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["search"] |= {"trajectory": self.trajectory, "not_finite": self.not_finite}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.trajectory, self.not_finite = list(checkpoint["search"]["trajectory"]), checkpoint["search"]["not_finite"]

    def _begin_round(self) -> None:
        self._alive_at_start = self.alive()
        self._prunes_edges = not removable_ops(self._alive_at_start)
        self._groups = self._candidates()
        self._group_scores: list[CandidateScores] = []
        self._round_scores: list[CandidateScores] = []

    def _candidates(self) -> list[list[Candidate]]:
        """Return the candidates of the next round, in groups that are ranked together."""
        alive, cells = self.alive(), self.space.cells
        ops = removable_ops(alive)
        groups = [ops] if ops else nodes_over_limit(cells, alive)
        return [tie_sorted(group, cells, self.tie_order) for group in groups]

    def _steps(self) -> int:
        """Return the number of steps of the round: one per candidate, at most one per batch of the loader."""
        return min(sum(map(len, self._groups)), int(self.trainer.num_training_batches))

    def _scores(self, group: list[Candidate], candidate: Candidate, number: int) -> CandidateScores:
        """Return the scores of a candidate; the workers measure all candidates of its group at the same time."""
        if self._workers is None:
            return self._measure(candidate, number)
        if candidate is group[0]:
            state = self.current_epoch, self._alive_at_start, self.alive()
            self._workers.submit([Work(one, number + i, *state) for i, one in enumerate(group)])
        measured, not_finite = self._workers.next()
        self.not_finite += not_finite
        for name in measured.proxies:
            self._progress.update(name)
        return measured.scores

    def _measure(self, candidate: Candidate, number: int) -> CandidateScores:
        work = Work(candidate, number, self.current_epoch, self._alive_at_start, self.alive())
        options = MeasurementOptions(0, self.init, self.share_reference, self.repeats, self.stale_reference)
        return measure_candidate(self._measurements, work, options, self._progress.update)

    def _prune(self, group: list[Candidate]) -> None:
        """Rank the candidates of a measured group, and prune."""
        keep = self.space.cells[group[0].cell].inputs if self._prunes_edges else None
        alive, keeps = self.alive(), keeps_within(self.limits, self.alive())
        pruned = select_pruned(group, self._group_scores, self.proxies, alive, keep, self.prune_number, keeps)
        self._round_scores += self._group_scores
        self._group_scores = []
        for name, rows in prune_ops(alive, pruned).items():
            self.masks.restrict(name, torch.tensor(rows))
        log.info("round %d prunes %s", self.current_epoch + 1, ", ".join(describe(self.space, one) for one in pruned))

    def _end_round(self) -> None:
        """Record the proxies of the supernet at the start of the round and, after the last round, at the end."""
        point = {"round": float(self.current_epoch)}
        for i, proxy in enumerate(self.proxies):
            point[proxy.name] = fmean([value for scores in self._round_scores for value in scores.before[i]])
        self._record(point)
        if self.decided():
            end = {"round": self.current_epoch + 1.0}
            keys = [MeasurementKey(self.current_epoch + 1, 0, repeat) for repeat in range(self.repeats)]
            for measure in self._measurements:
                end[measure.proxy.name] = fmean([measure(self.alive(), key) for key in keys])
            self._record(end)
            self.trainer.should_stop = True

    def _record(self, point: dict[str, float]) -> None:
        self.trajectory.append(point)
        self.not_finite += sum(measure.pop_non_finite() for measure in self._measurements)
        values = ", ".join(f"{name} {value:.5g}" for name, value in point.items() if name != "round")
        log.info("after %d rounds  %s", point["round"], values)

    def _batch_size(self, proxy: Proxy) -> int:
        return self.ntk_batch if proxy.probe == "ntk" else proxy.batch_size
