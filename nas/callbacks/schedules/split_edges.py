"""Splitting of supernet edges by gradient matching (GM-NAS)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.architecture.cell import Link, format_links
from nas.callbacks.interruptible import interruptible
from nas.callbacks.schedules.scheduled_search import scheduled_search
from nas.gradients.base import Batch
from nas.gradients.matching import Criterion, Distance, Division, divide, gradient_distances
from nas.nn.cell_graph import CellGraph
from nas.searches.gradient import GradientSearch
from nas.utils.distributed import mean_over_ranks
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, COUNT_OR_ZERO, check_ranges

log = logging.getLogger(__name__)


@check_ranges(epochs=COUNT, of=COUNT, branch=COUNT_OR_ZERO, batches=COUNT)
class SplitEdges(pl.Callback):
    """Divide the ops of one edge into two groups and keep one of them, several times (Hu et al., ICLR 2022).

    The division keeps together ops with similar gradients of the shared weights. The distance of two ops is that of
    the gradients of all other edges if the edge executes one or the other. The best edge is divided (``divide``).
    After n splits there are 2^n branches, each with its own supernet. A run follows one branch; a sweep over
    ``branch`` trains all of them. All branches share the epochs before the first split, bit for bit.

    Alpha is frozen before the last split. The last split initializes the weights again.

    Args:
        epochs: published epochs at whose beginning an edge is split. The run is divided in proportion to ``of``.
        of: published length of the search.
        branch: number of the branch, from 0. Its k-th binary digit selects the group of the k-th split.
        batches: number of training batches that distances are averaged over.
        distance: of gradients (``gradient_distances``).
        criterion: of the division and of the edge (``divide``).
        cells: cell types whose edges can be split; names that the space does not have are ignored.

    Raises:
        NasError: if an option is out of range.
    """

    def __init__(
        self,
        epochs: Sequence[int],
        of: int,
        branch: int = 0,
        batches: int = 100,
        distance: Distance = "cosine",
        criterion: Criterion = "cut",
        cells: Sequence[str] = ("cell", "normal"),
    ) -> None:
        if branch >= 2 ** len(epochs):
            raise NasError(
                f"SplitEdges: branch={branch}: {len(epochs)} splits give branches 0 to {2 ** len(epochs) - 1}."
            )
        if list(epochs) != sorted(epochs) or max(epochs, default=0) >= of:
            raise NasError(f"SplitEdges: epochs={list(epochs)}: give ascending numbers below of={of}.")
        self.epochs = epochs
        self.of = of
        self.branch = branch
        self.batches = batches
        self.distance = distance
        self.criterion = criterion
        self.cells = tuple(cells)

    def split_epochs(self, epochs: int) -> list[int]:
        """Return the epoch of each split in a run of ``epochs``. A split in epoch 0 is left out."""
        return [epoch * epochs // self.of for epoch in self.epochs]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if not isinstance(pl_module, GradientSearch) or not pl_module.supernet.cell_types():
            space = pl_module.space.name if isinstance(pl_module, GradientSearch) else "none"
            raise NasError(
                f"SplitEdges: space={space} has no cells with ops on edges. Use space=nas_bench_201 or darts."
            )
        kinds = dict.fromkeys(pl_module.supernet.cell_types().values())
        if not set(self.cells) & set(kinds):
            raise NasError(
                f"SplitEdges: cells={list(self.cells)}: space={pl_module.space.name} has the cells {', '.join(kinds)}. "
                "Set cells to one of them, or use space=nas_bench_201 or darts."
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        splits = self.split_epochs(max(trainer.max_epochs or 0, 0))
        if 0 in splits or len({*splits}) < len(splits):
            log.warning(
                "epochs=%s: %d splits fall into epochs %s. A split in epoch 0 is left out, and splits of one epoch "
                "have no training between them. Set epochs=%d or more.",
                trainer.max_epochs,
                len(splits),
                splits,
                self.shortest(),
            )

    def shortest(self) -> int:
        """Return the length of the shortest run whose splits are in different epochs after the first."""
        lengths = range(1, self.of + 1)
        fits = (n for n in lengths if 0 not in (starts := self.split_epochs(n)) and len({*starts}) == len(starts))
        return next(fits, self.of)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        search, epochs = scheduled_search(self, trainer, pl_module)
        splits = self.split_epochs(epochs)
        search.arch_step.warmup_epochs = max([search.arch_step.warmup_epochs, *splits])
        for level, epoch in enumerate(splits):
            if epoch == trainer.current_epoch > 0:
                self.split(trainer, search, level)
                if level + 1 == len(splits):
                    self._initialize(trainer, search)

    def split(self, trainer: pl.Trainer, search: GradientSearch, level: int) -> None:
        """Divide the best edge that is not divided yet, and mask the group that the branch does not select."""
        divisions: list[tuple[Division, str, int, list[int]]] = []
        for name in (name for name in self.cells if name in search.space.cells):
            allowed = search.space.cells[name].allowed().tolist()
            for edge, row in enumerate(search.masks.lists(name)):
                columns = [c for c, on in enumerate(row) if on]
                if len(columns) > 1 and row == allowed[edge]:
                    distances = self._distances(trainer, search, name, edge, columns)
                    divisions.append((divide(distances, self.criterion), name, edge, columns))
        if not divisions:
            return
        division, name, edge, columns = max(divisions, key=lambda entry: entry[0].score)
        group = (division.first, division.second)[self.branch >> level & 1]
        keep = torch.ones_like(search.masks.table(name))
        keep[edge] = False
        keep[edge, [columns[i] for i in group]] = True
        search.masks.restrict(name, keep)
        ops = [Link(search.space.cells[name].ops[columns[i]], *search.space.cells[name].edges[edge]) for i in group]
        log.info("split %d of the %s cell keeps %s", level + 1, name, format_links(ops))

    def _distances(
        self, trainer: pl.Trainer, search: GradientSearch, name: str, edge: int, columns: Sequence[int]
    ) -> Tensor:
        total, count = torch.zeros(len(columns), len(columns), device=search.device), 0
        weights = shared_weights(search, name, edge)
        for batch in interruptible(trainer, islice(self._batches(trainer, search.device), self.batches)):
            grads = self._gradients(search, batch, name, edge, columns, weights)
            total, count = total + gradient_distances(grads, self.distance), count + 1
        return total / count

    @staticmethod
    def _gradients(
        search: GradientSearch,
        batch: Batch,
        name: str,
        edge: int,
        columns: Sequence[int],
        weights: Sequence[nn.Parameter],
    ) -> list[Tensor]:
        """Return the gradients of the shared weights under each op, [ops, *shape] for each weight."""
        arch = {key: row.detach() for key, row in search.relaxation.sample(search.masks).items()}
        gradients = []
        for column in columns:
            op, active = arch[name].op.clone(), [list(row) for row in arch[name].active]
            op[edge] = 0
            op[edge, column] = 1
            active[edge] = [c == column for c in range(op.shape[1])]
            buffers = {key: buffer.clone() for key, buffer in search.supernet.named_buffers()}
            other = {**arch, name: arch[name]._replace(op=op, active=active)}
            loss = search.task.loss(functional_call(search.supernet, buffers, (batch[0], other)), batch[1])
            grads = torch.autograd.grad(loss, list(weights), allow_unused=True)
            zeros = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, grads, strict=True)]
            gradients.append(mean_over_ranks(zeros))
        return [torch.stack(parts) for parts in zip(*gradients, strict=True)]

    @staticmethod
    def _batches(trainer: pl.Trainer, device: torch.device) -> Iterator[Batch]:
        loader: Any = trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
        loader = loader.iterables["train"] if hasattr(loader, "iterables") else loader
        loader.set_epoch(trainer.current_epoch)
        for x, target in loader:
            yield x.to(device), target.to(device)

    @staticmethod
    def _initialize(trainer: pl.Trainer, search: GradientSearch) -> None:
        """Initialize the weights again, from the generator of the relaxation."""
        seed = int(torch.randint(2**62, (), generator=search.relaxation.generator(torch.device("cpu"))))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            search.supernet.load_state_dict(search.space.supernet(search.edge).state_dict())
        trainer.optimizers[0].state.clear()


def shared_weights(search: GradientSearch, name: str, edge: int) -> list[nn.Parameter]:
    """Return the weights on all edges except one edge of a cell type."""
    weights: list[nn.Parameter] = []
    for graph in search.supernet.modules():
        if isinstance(graph, CellGraph):
            own = graph.cell is search.space.cells[name]
            for e, key in enumerate(graph.keys):
                weights += [] if own and e == edge else graph.edges[key].parameters()
    return weights
