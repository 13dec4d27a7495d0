"""DARTS-PT: selection of ops and edges by the validation accuracy lost without them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Literal

import pytorch_lightning as pl
import torch

from nas.architecture.cell import Architecture, Cell, EdgeWeights
from nas.callbacks.interruptible import interruptible
from nas.callbacks.schedules.scheduled_search import scheduled_search
from nas.data.move_batch import move_batch
from nas.searches.gradient import GradientSearch
from nas.training.search_lr import projection_length
from nas.utils.ranges import COUNT, check_ranges

Criterion = Literal["accuracy", "loss"]


def decision_epochs(cells: Mapping[str, Cell], projection_epochs: int) -> list[int]:
    """Return the epochs of the projection, from 0, that start with a decision, evenly spaced.

    There is one decision for each edge, then one for each node that drops edges. An epoch can occur several times.
    """
    count = max(len(cell.edges) + len(_nodes_over_limit(cell)) for cell in cells.values())
    return [math.ceil(k * (projection_epochs - 1) / max(count - 1, 1)) for k in range(count)]


@check_ranges(supernet_epochs=COUNT, projection_epochs=COUNT, batches=COUNT)
class PerturbationSelection(pl.Callback):
    """Project a trained supernet to a genotype, edge by edge (DARTS-PT, Wang et al., ICLR 2021).

    In the last epochs of a run, one random undecided edge of each cell type is masked to the op whose removal costs
    most validation accuracy (or loss). Then one random node with too many edges loses those whose removal costs least.
    The removed weight is 0, all other weights keep their scores, and batch norm uses the statistics of the batch.
    Between decisions the search trains the remaining supernet. The momentum of the weights is cleared at the start.

    Args:
        supernet_epochs: published epochs of the supernet. The run is divided in this proportion.
        projection_epochs: published epochs of the projection.
        criterion: "accuracy" or "loss".
        batches: validation batches per evaluation. None uses all.

    Raises:
        NasError: if an option is out of range, or trainer.max_epochs is not set.
    """

    def __init__(
        self,
        supernet_epochs: int = 50,
        projection_epochs: int = 81,
        criterion: Criterion = "accuracy",
        batches: int | None = None,
    ) -> None:
        self.supernet_epochs = supernet_epochs
        self.projection_epochs = projection_epochs
        self.criterion = criterion
        self.batches = batches

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        search, epochs = scheduled_search(self, trainer, pl_module)
        phase = projection_length(epochs, self.supernet_epochs, self.projection_epochs)
        epoch = trainer.current_epoch - (epochs - phase)
        if epoch == 0:
            trainer.optimizers[0].state.clear()
        for _ in range(decision_epochs(search.space.cells, phase).count(epoch)):
            for name in search.space.cells:
                self.decide(trainer, search, name)

    def decide(self, trainer: pl.Trainer, search: GradientSearch, name: str) -> None:
        """Decide one edge of a cell type or, once all edges are decided, one node."""
        rows = search.masks.lists(name)
        cell = search.space.cells[name].masked(rows)
        edges = [e for e, row in enumerate(rows) if sum(row) > 1]
        nodes = [] if edges else _nodes_over_limit(cell)
        if not edges and not nodes:
            return
        draw = torch.randint(len(edges or nodes), (), generator=search.relaxation.generator(torch.device("cpu")))
        keep = torch.ones_like(search.masks.table(name))
        if edges:
            edge = edges[int(draw)]
            keep[edge] = False
            keep[edge, cell.ops.index(self._best_op(trainer, search, name, edge, cell.choices(edge)))] = True
        else:
            keep[self._edges_to_drop(trainer, search, name, nodes[int(draw)])] = False
        search.masks.restrict(name, keep)

    def _best_op(self, trainer: pl.Trainer, search: GradientSearch, name: str, edge: int, ops: Sequence[str]) -> str:
        """Return the op whose removal from an edge costs most, the first one of equals."""
        columns = [search.space.cells[name].ops.index(op) for op in ops]
        cost = self.removal_cost(
            trainer, search, [architecture_without(search, name, edge, column) for column in columns]
        )
        return ops[cost.index(max(cost))]

    def _edges_to_drop(self, trainer: pl.Trainer, search: GradientSearch, name: str, node: int) -> list[int]:
        """Return the edges into a node whose removal costs least, the later ones of equals.

        Each edge is removed alone. The authors remove them one after the other, but always evaluate with all edges
        that the supernet still has, so the order of removal makes no difference.
        """
        cell = search.space.cells[name].masked(search.masks.lists(name))
        edges = [e for e in cell.into(node) if cell.choices(e)]
        cost = self.removal_cost(trainer, search, [architecture_without(search, name, e) for e in edges])
        ranked = sorted(range(len(edges)), key=lambda i: -cost[i])
        return [edges[i] for i in ranked[cell.inputs :]]

    def removal_cost(
        self, trainer: pl.Trainer, search: GradientSearch, variants: Sequence[Architecture]
    ) -> list[float]:
        """Return the validation loss of each architecture, or its negated accuracy, by the criterion."""
        totals, count = [], 0
        loader = trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
        for loaded in islice(loader, self.batches):
            batch = move_batch(loaded, search.device)
            evaluations = [search.evaluate(batch, arch) for arch in interruptible(trainer, variants)]
            values = [loss if self.criterion == "loss" else -accuracy for loss, accuracy in evaluations]
            totals.append(len(batch[1]) * torch.stack(values))
            count += len(batch[1])
        mean: list[float] = trainer.strategy.reduce(torch.stack(totals).sum(dim=0) / count, reduce_op="mean").tolist()
        return mean


def architecture_without(search: GradientSearch, name: str, edge: int, column: int | None = None) -> Architecture:
    """Return the architecture of the relaxation's scores without one op of an edge, or without the whole edge."""
    scores, edges = search.relaxation.scores(search.masks), search.relaxation.edge_scores(search.masks)
    arch = {n: EdgeWeights(table, search.masks.lists(n), edges[n]) for n, table in scores.items()}
    op, active = scores[name].clone(), [list(row) for row in search.masks.lists(name)]
    gone = range(op.shape[1]) if column is None else [column]
    op[edge, list(gone)] = 0
    active[edge] = [on and c not in gone for c, on in enumerate(active[edge])]
    return {**arch, name: arch[name]._replace(op=op, active=active)}


def _nodes_over_limit(cell: Cell) -> list[int]:
    """Return the nodes with more edges than a genotype keeps."""
    if cell.inputs is None:
        return []
    return [n for n in cell.nodes if sum(bool(cell.choices(e)) for e in cell.into(n)) > cell.inputs]
