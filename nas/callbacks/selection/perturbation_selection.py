"""Selection by perturbation: an op is worth what its removal costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Literal

import pytorch_lightning as pl
import torch

from nas.architecture.cell import Architecture, Cell, EdgeWeights
from nas.searches.gradient import GradientSearch
from nas.training.staged_lr import tune_epochs
from nas.utils.errors import NasError

Criterion = Literal["accuracy", "loss"]


def calendar(cells: Mapping[str, Cell], tune: int) -> list[int]:
    """The epochs, from 0, of ``tune`` at whose start a decision falls: one for each edge, then one for each node
    that drops edges, evenly spaced from the first epoch to the last."""
    count = max(len(cell.edges) + len(_crowded(cell)) for cell in cells.values())
    return [math.ceil(k * (tune - 1) / max(count - 1, 1)) for k in range(count)]


class Project(pl.Callback):
    """DARTS-PT's projection (Wang et al., ICLR 2021), after any supernet.

    In the last epochs of a run, by the calendar, one random undecided edge of each cell type is masked to the op
    whose removal hurts the validation accuracy (or loss) most; then one random node that has too many edges loses
    those whose removal hurts least. The architecture that is perturbed is that of the relaxation's
    scores, the removed weight is 0 and the others stay as they are; batch norm uses the batch's statistics. Between
    decisions the search goes on training what is left. The run's length is shared as ``supernet`` to ``tune``;
    ``batches`` limits the validation batches of an evaluation. The weights' momentum begins anew with the phase.
    """

    def __init__(
        self, supernet: int = 50, tune: int = 81, criterion: Criterion = "accuracy", batches: int | None = None
    ) -> None:
        if criterion not in ("accuracy", "loss") or (batches is not None and batches < 1):
            raise NasError(
                f"Project: criterion={criterion}, batches={batches}: give accuracy or loss; 1 or more, or null"
            )
        self.supernet = supernet
        self.tune = tune
        self.criterion = criterion
        self.batches = batches

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not isinstance(pl_module, GradientSearch) or trainer.max_epochs is None:
            raise NasError("Project: decides the edges of a gradient search whose trainer.max_epochs is known")
        phase = tune_epochs(trainer.max_epochs, self.supernet, self.tune)
        epoch = trainer.current_epoch - (trainer.max_epochs - phase)
        if epoch == 0:
            trainer.optimizers[0].state.clear()
        for _ in range(calendar(pl_module.space.cells, phase).count(epoch)):
            for name in pl_module.space.cells:
                self.decide(trainer, pl_module, name)

    def decide(self, trainer: pl.Trainer, search: GradientSearch, name: str) -> None:
        """Decides one edge of a cell type or, where all are, one node; nothing where nothing is left to decide."""
        rows = search.masks.lists(name)
        cell = search.space.cells[name].masked(rows)
        edges = [e for e, row in enumerate(rows) if sum(row) > 1]
        nodes = [] if edges else _crowded(cell)
        if not edges and not nodes:
            return
        draw = torch.randint(len(edges or nodes), (), generator=search.relaxation.generator(torch.device("cpu")))
        keep = torch.ones_like(search.masks.table(name))
        if edges:
            edge = edges[int(draw)]
            keep[edge] = False
            keep[edge, cell.ops.index(self._op(trainer, search, name, edge, cell.choices(edge)))] = True
        else:
            keep[self._spare(trainer, search, name, nodes[int(draw)])] = False
        search.masks.restrict(name, keep)

    def _op(self, trainer: pl.Trainer, search: GradientSearch, name: str, edge: int, ops: Sequence[str]) -> str:
        """The op whose removal from an edge hurts most; of equals the first."""
        columns = [search.space.cells[name].ops.index(op) for op in ops]
        harm = self.harm(trainer, search, [removed(search, name, edge, column) for column in columns])
        return ops[harm.index(max(harm))]

    def _spare(self, trainer: pl.Trainer, search: GradientSearch, name: str, node: int) -> list[int]:
        """The edges into a node that it does without: those that hurt least; of equals the later ones.

        Each edge is removed alone. The authors delete one after the other, but evaluate each time with all that are
        still in the supernet, so that nothing but their random batches could change the order.
        """
        cell = search.space.cells[name].masked(search.masks.lists(name))
        edges = [e for e in cell.into(node) if cell.choices(e)]
        harm = self.harm(trainer, search, [removed(search, name, e) for e in edges])
        ranked = sorted(range(len(edges)), key=lambda i: -harm[i])
        return [edges[i] for i in ranked[cell.inputs :]]

    def harm(self, trainer: pl.Trainer, search: GradientSearch, variants: Sequence[Architecture]) -> list[float]:
        """What each architecture costs on the validation images: its loss, or its accuracy with the sign changed."""
        totals, count = [], 0
        loader = trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
        for x, target in islice(loader, self.batches):
            batch = x.to(search.device), target.to(search.device)
            found = [search.evaluate(batch, arch) for arch in variants]
            values = [loss if self.criterion == "loss" else -accuracy for loss, accuracy in found]
            totals.append(len(target) * torch.stack(values))
            count += len(target)
        mean: list[float] = trainer.strategy.reduce(torch.stack(totals).sum(dim=0) / count, reduce_op="mean").tolist()
        return mean


def removed(search: GradientSearch, name: str, edge: int, column: int | None = None) -> Architecture:
    """The architecture of the relaxation's scores without one op of an edge, or without the whole edge."""
    scores, edges = search.relaxation.scores(search.masks), search.relaxation.edge_scores(search.masks)
    arch = {n: EdgeWeights(table, search.masks.lists(n), edges[n]) for n, table in scores.items()}
    op, active = scores[name].clone(), [list(row) for row in search.masks.lists(name)]
    gone = range(op.shape[1]) if column is None else [column]
    op[edge, list(gone)] = 0
    active[edge] = [on and c not in gone for c, on in enumerate(active[edge])]
    return {**arch, name: arch[name]._replace(op=op, active=active)}


def _crowded(cell: Cell) -> list[int]:
    """The nodes with more edges than a genotype keeps."""
    if cell.inputs is None:
        return []
    return [n for n in cell.nodes if sum(bool(cell.choices(e)) for e in cell.into(n)) > cell.inputs]
