"""TE-NAS: the supernet is pruned by what the removal of each op does to proxies that need no training."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import nn

from nas.architecture.cell import NONE, Genotype, discretize
from nas.architecture.masks import Masks
from nas.data.base import ImageData
from nas.data.proxy_batches import ProxyBatches
from nas.proxies.linear_regions import SIDE
from nas.proxies.proxy import Proxy, check_images
from nas.proxies.pruned import Alive, equal_weights
from nas.searches.base import Search
from nas.searches.pruning.measure import Init, Meter, Place
from nas.searches.pruning.per_space import PerSpace, of_space
from nas.searches.pruning.ranking import (
    Candidate,
    change,
    crowded,
    first_of_edges,
    ranked,
    removable,
    rounds_left,
    without,
)
from nas.searches.pruning.rounds import Pace, Rounds
from nas.spaces.base import Space
from nas.utils.errors import NasError, unknown

log = logging.getLogger(__name__)
STALE = ("ntk",)  # may stand there though the proxies are others: it is the default


class Measured(NamedTuple):
    """The proxies of the supernet and of what a candidate's removal leaves: one list a proxy, one number a repeat."""

    before: list[list[float]]
    after: list[list[float]]


class PruningSearch(Search):
    """TE-NAS (Chen et al., ICLR 2021) with any proxies: an epoch is a round, a step measures some of its candidates.

    A round measures the supernet without each remaining op, ranks the changes of each proxy, and prunes on each edge
    the ``prune_number`` ops with the smallest sum of ranks. A last round prunes edges node by node. ``stale`` names
    the proxies whose reference is not updated within that round. See ``Meter`` for ``init`` and ``share_reference``.
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
        stale: Sequence[str] = STALE,
        callbacks: Sequence[pl.Callback] = (),
        name: str = "te_nas",
    ) -> None:
        super().__init__(space, name)
        if not proxies or repeats < 1:
            raise NasError(f"{name}: {len(proxies)} proxies, repeats={repeats}: give at least one of each")
        strange = [proxy for proxy in proxies if not isinstance(proxy, Proxy)]
        if strange:
            raise NasError(
                f"method.proxies: {strange[0]} is no proxy: write 'method.proxies=[${{proxy}}]' proxy=NAME, or each as "
                "{_target_:nas.proxies.naswot.Naswot}"
            )
        if init not in ("paper", "reference_code"):
            raise unknown("method.init", init, ["paper", "reference_code"])
        self.proxies = list(proxies)
        self.repeats = repeats
        for given in stale:
            if given not in {*STALE, *(proxy.name for proxy in proxies)}:
                raise unknown("method.stale", str(given), [proxy.name for proxy in proxies])
        self.prune_number = of_space(prune_number, space, "method.prune_number")
        self.ntk_batch = of_space(ntk_batch, space, "method.ntk_batch")
        self.init: Init = init
        self.share_reference = share_reference
        self.stale = tuple(stale)
        self.masks = Masks(space.cells)
        for cell_name, cell in space.cells.items():
            keep = torch.tensor([op != NONE for op in cell.ops])
            self.masks.restrict(cell_name, keep.expand(len(cell.edges), -1))
        self.trajectory: list[dict[str, float]] = []
        self.not_finite = 0
        self.callbacks = list(callbacks)
        self._meters: list[Meter] = []
        self._begin_round()
        self.register_buffer("seed", torch.randint(2**31, ()))
        self.idle = nn.Parameter(torch.zeros(1))  # Lightning counts an optimizer's steps: this one has nothing to do
        for proxy in self.proxies:
            self._check(proxy)

    def check_space(self, space: Space) -> None:
        if not space.mixes_ops:
            raise NasError(
                f"method={self.name}: it measures thin networks of the remaining ops, which space={space.name} "
                "does not have, because its genotypes are widths. Use another space."
            )

    def alive(self) -> dict[str, list[list[bool]]]:
        """Which ops are left on each edge of each cell type."""
        return {name: [list(row) for row in self.masks.lists(name)] for name in self.space.cells}

    def decided(self) -> bool:
        """Whether one op is left on each edge, and nodes have no more edges than they keep."""
        return not removable(self.alive()) and not crowded(self.space.cells, self.alive())

    def genotype(self) -> Genotype:
        """What is left; where several ops still are, the first of them."""
        weights = equal_weights(self.alive(), torch.zeros(()))
        left = {name: cell.masked(self.masks.lists(name)) for name, cell in self.space.cells.items()}
        cells = {name: discretize(cell, weights[name].op) for name, cell in left.items()}
        return Genotype(self.space.notation, cells)

    def diagnostics(self) -> dict[str, float]:
        last = {name: value for name, value in (self.trajectory or [{}])[-1].items() if math.isfinite(value)}
        left = sum(sum(map(sum, rows)) for rows in self.alive().values())
        return {**last, "ops_left": float(left), "not_finite": float(self.not_finite)}

    def configure_callbacks(self) -> list[pl.Callback]:
        return self.callbacks

    def batches(self, data: ImageData) -> Rounds:
        return Rounds(data, lambda: sum(map(len, self._candidates())))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.idle], lr=0.0)

    def setup(self, stage: str) -> None:
        self.trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]  # rounds differ in length

    def on_train_start(self) -> None:
        super().on_train_start()
        data = self.trainer.datamodule.data  # type: ignore[attr-defined]
        seed = int(self.get_buffer("seed"))
        self._meters = [
            Meter(
                self.space,
                s,
                ProxyBatches(data, seed),
                seed,
                self.init,
                self.share_reference,
                self._images(s),
                self.device,
            )
            for s in self.proxies
        ]
        allowed = (self.trainer.max_epochs or 0) - self.current_epoch
        needed = rounds_left(self.space.cells, self.alive(), self.prune_number)
        if 0 <= allowed < needed:
            enough = self.current_epoch + needed
            log.warning("%d rounds are left, of which epochs allow %d: epochs=%d is enough", needed, allowed, enough)

    def on_train_epoch_start(self) -> None:
        self._begin_round()
        if not self._groups:
            self.trainer.should_stop = True
        total = sum(map(len, self._groups)) * len(self.proxies) * self.repeats
        self._pace = Pace(self.current_epoch + 1, total)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        return -1 if batch_idx >= self._steps() else None

    def training_step(self, batch: Any, batch_idx: int) -> None:
        work = [(group, candidate) for group in self._groups for candidate in group]
        steps = self._steps()
        for i in range(batch_idx * len(work) // steps, (batch_idx + 1) * len(work) // steps):
            group, candidate = work[i]
            self._found.append(self._measure(candidate, i))
            if candidate is group[-1]:
                self._conclude(group)
        self.optimizers().step()  # type: ignore[union-attr]
        if batch_idx == steps - 1:
            self._end_round()

    def on_train_end(self) -> None:
        if not self.decided():
            log.warning(
                "%s ended after %d rounds with ops or edges left to prune: the genotype has the first of them, which "
                "no proxy has chosen; give it more rounds (epochs=N)",
                self.name,
                len(self.trajectory),
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["search"] |= {"trajectory": self.trajectory, "not_finite": self.not_finite}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        saved = checkpoint["search"]
        self.trajectory, self.not_finite = list(saved["trajectory"]), saved["not_finite"]

    def _begin_round(self) -> None:
        self._begun = self.alive()
        self._of_edges = not removable(self._begun)
        self._groups = self._candidates()
        self._found: list[Measured] = []
        self._before: list[Measured] = []

    def _candidates(self) -> list[list[Candidate]]:
        """What the coming round measures, by the groups that are ranked together."""
        alive = self.alive()
        ops = removable(alive)
        return [ops] if ops else crowded(self.space.cells, alive)

    def _steps(self) -> int:
        """How many steps the round has: as many as candidates, or as the loader has batches."""
        return min(sum(map(len, self._groups)), int(self.trainer.num_training_batches))

    def _measure(self, candidate: Candidate, number: int) -> Measured:
        alive = self.alive()
        places = [Place(self.current_epoch, number, repeat) for repeat in range(self.repeats)]
        found = Measured([], [])
        for meter in self._meters:
            reference = self._begun if meter.proxy.name in self.stale else alive
            found.before.append([])
            found.after.append([])
            for place in places:
                began = time.perf_counter()
                found.before[-1].append(meter.reference(reference, place))
                began = time.perf_counter() if self.share_reference else began
                found.after[-1].append(meter(without(alive, [candidate]), place))
                self._pace(meter.proxy.name, time.perf_counter() - began)
        return found

    def _conclude(self, group: list[Candidate]) -> None:
        """Ranks the candidates that were just measured, and prunes."""
        gone = decide(group, self._found, self.proxies, self.alive(), self._kept(group), self.prune_number)
        self._before += self._found
        self._found = []
        for name, rows in without(self.alive(), gone).items():
            self.masks.restrict(name, torch.tensor(rows))
        what = ", ".join(f"{name} {_edge(self.space, name, e)} {self.space.cells[name].ops[o]}" for name, e, o in gone)
        log.info("round %d prunes %s", self.current_epoch + 1, what)

    def _kept(self, group: list[Candidate]) -> int | None:
        """How many edges of a node a group is to keep; None where it is a round of ops."""
        return self.space.cells[group[0].cell].inputs if self._of_edges else None

    def _end_round(self) -> None:
        """Notes the supernet that the round began with and, after the last round, what is left of it."""
        point = {"round": float(self.current_epoch)}
        for i, proxy in enumerate(self.proxies):
            point[proxy.name] = fmean([value for found in self._before for value in found.before[i]])
        self._say(point)
        if self.decided():
            end = {"round": self.current_epoch + 1.0}
            places = [Place(self.current_epoch + 1, 0, repeat) for repeat in range(self.repeats)]
            for meter in self._meters:
                end[meter.proxy.name] = fmean([meter(self.alive(), place) for place in places])
            self._say(end)
            self.trainer.should_stop = True

    def _say(self, point: dict[str, float]) -> None:
        self.trajectory.append(point)
        self.not_finite += sum(meter.not_finite() for meter in self._meters)
        values = ", ".join(f"{name} {value:.5g}" for name, value in point.items() if name != "round")
        log.info("after %d rounds  %s", point["round"], values)

    def _images(self, proxy: Proxy) -> int:
        return self.ntk_batch if proxy.probe == "ntk" else proxy.batch_size

    def _check(self, proxy: Proxy) -> None:
        """Raises NasError where a proxy is not defined on the space, the data or so few images."""
        check_images(proxy, self._images(proxy))
        if proxy.probe == "regions" and min(self.space.shape[1:]) < SIDE:
            size = "x".join(map(str, self.space.shape[1:]))
            raise NasError(
                f"method={self.name}: {proxy.name} takes crops of {SIDE}x{SIDE} pixels, the images have {size}: choose "
                "another data set, or method.proxies without it"
            )
        if proxy.probe is not None:
            with torch.device("meta"):
                self.space.probe(proxy.probe)


def decide(
    group: Sequence[Candidate],
    found: Sequence[Measured],
    proxies: Sequence[Proxy],
    alive: Alive,
    keep: int | None,
    number: int,
) -> list[Candidate]:
    """What is pruned of measured candidates: ``number`` ops of each edge, or all but ``keep`` of the group."""
    order = ranked(
        [
            [change(measured.before[i], measured.after[i], proxy.higher_is_better) for measured in found]
            for i, proxy in enumerate(proxies)
        ],
        [proxy.higher_is_better for proxy in proxies],
    )
    if keep is not None:
        return [group[i] for i in order[:-keep]]
    return first_of_edges(group, order, alive, number)


def _edge(space: Space, name: str, edge: int) -> str:
    source, target = space.cells[name].edges[edge]
    return f"{source}->{target}"
