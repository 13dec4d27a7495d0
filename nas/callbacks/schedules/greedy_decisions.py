"""Greedy decisions on edges during a search (SGAS)."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import NONE, Cell, Link, format_links
from nas.callbacks.schedules.scheduled_search import scheduled_search
from nas.searches.gradient import GradientSearch
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, check_ranges

log = logging.getLogger(__name__)


@dataclass
class EdgeDecisions:
    """Decisions on the edges of a cell type.

    Attributes:
        scores: scores of the ops, [edges, ops]; those of decided edges are from the epoch of their decision.
        chosen: edges with a selected op, bool [edges].
        decided: edges that are chosen or pruned, bool [edges].
        history: distributions of the ops after previous epochs, each [edges, ops].
    """

    scores: Tensor
    chosen: Tensor
    decided: Tensor
    history: list[Tensor] = field(default_factory=list)


@check_ranges(first=COUNT, last=COUNT, of=COUNT, history=COUNT)
class GreedyDecisions(pl.Callback):
    """Decide one edge after another during the search, as in SGAS (Li et al., CVPR 2020).

    A decision takes the edge with the highest score of its cell type (``edge_scores``) and masks all its ops but the
    best. Once a node has as many chosen edges as a genotype keeps, its other edges are pruned. The decisions of a cell
    type are spread evenly from the end of epoch ``first`` to the end of epoch ``last`` in a run of ``of`` epochs. Runs
    of another length are divided in this proportion. The discretization decides the remaining edges.

    Where a genotype may contain ``none``, as in NAS-Bench-201, a decision may select it. Edge weights (PC-DARTS) scale
    the importance of the edges.

    Args:
        criterion: 1 for importance and certainty of an edge, 2 for its stability, too.
        first: published epoch of the first decision.
        last: published epoch of the last decision.
        of: published epochs of the search.
        history: number of previous epochs that the stability compares with.

    Raises:
        NasError: if an option is out of range or the epochs are not in order.
    """

    def __init__(
        self, criterion: Literal[1, 2] = 1, first: int = 10, last: int = 45, of: int = 50, history: int = 4
    ) -> None:
        if not first <= last < of:
            raise NasError(f"GreedyDecisions: first={first}, last={last}: give ascending epochs below of={of}.")
        self.criterion = criterion
        self.first = first
        self.last = last
        self.of = of
        self.history = history
        self.cells: dict[str, EdgeDecisions] = {}
        self.completed = 0
        """Number of completed epochs at the last update."""

    def state_dict(self) -> dict[str, Any]:
        return {"completed": self.completed, "cells": {name: asdict(cell) for name, cell in self.cells.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.completed = state_dict["completed"]
        self.cells = {name: EdgeDecisions(**cell) for name, cell in state_dict["cells"].items()}

    def due(self, decisions: int, completed: int, epochs: int) -> int:
        """Return how many of ``decisions`` are taken within the first ``completed`` of ``epochs`` epochs."""
        gaps = max(decisions - 1, 1)
        at = [(self.first * gaps + (self.last - self.first) * i) * epochs for i in range(decisions)]
        return sum(epoch <= completed * self.of * gaps for epoch in at)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        search, epochs = scheduled_search(self, trainer, pl_module)
        if trainer.current_epoch <= self.completed:  # nothing is trained yet, or the epoch is resumed
            return
        self.completed = trainer.current_epoch
        found, weights = search.relaxation.scores(search.masks), search.relaxation.edge_scores(search.masks)
        for name, cell in search.space.cells.items():
            weight = weights[name]
            self._update(name, found[name] if weight is None else found[name] * weight[:, None])
            total = sum(min(len(rows), cell.inputs or len(rows)) for rows in _edges_by_node(cell))
            for _ in range(self.due(total, self.completed, epochs) - int(self.cells[name].chosen.sum())):
                self._decide(search, name)
            self._remember(cell, name)

    def _update(self, name: str, scores: Tensor) -> None:
        """Store the scores of the edges that are not decided."""
        scores = scores.detach().to("cpu", torch.float32)
        if name not in self.cells:
            open_edges = torch.zeros(len(scores), dtype=torch.bool)
            self.cells[name] = EdgeDecisions(scores, open_edges, open_edges.clone())
        state = self.cells[name]
        state.scores = torch.where(state.decided[:, None], state.scores, scores)

    def _decide(self, search: GradientSearch, name: str) -> None:
        """Select the op of the best open edge, and prune the open edges of a node that is complete."""
        cell, state = search.space.cells[name], self.cells[name]
        allowed = torch.tensor([[op in cell.choices(e) for op in cell.ops] for e in range(len(cell.edges))])
        allowed &= search.masks.table(name).cpu()
        history = state.history if self.criterion == 2 else None
        ranked = edge_scores(state.scores, _parametric(cell), history)
        edge = int(ranked.masked_fill(state.decided | ~allowed.any(dim=-1), -math.inf).argmax())
        if state.decided[edge] or not allowed[edge].any():
            return
        op = int(state.scores[edge].masked_fill(~allowed[edge], -math.inf).argmax())
        keep = torch.ones_like(allowed)
        keep[edge] = F.one_hot(torch.tensor(op), len(cell.ops)).bool()
        state.chosen[edge] = state.decided[edge] = True
        rows = next(rows for rows in _edges_by_node(cell) if edge in rows)
        if cell.inputs is not None and int(state.chosen[rows].sum()) >= cell.inputs:
            pruned = [row for row in rows if not state.chosen[row]]
            keep[pruned] = torch.tensor([op == NONE for op in cell.ops])
            state.decided[pruned] = True
        search.masks.restrict(name, keep)
        log.info("decision: the %s cell has %s", name, format_links([Link(cell.ops[op], *cell.edges[edge])]))

    def _remember(self, cell: Cell, name: str) -> None:
        state = self.cells[name]
        state.history = [*state.history, op_distribution(state.scores, _parametric(cell))][-self.history :]


def edge_scores(scores: Tensor, ops: Tensor, history: Sequence[Tensor] | None = None) -> Tensor:
    """Return the product of importance, certainty and, given a history, stability of each edge, [edges].

    The importance is the total score of the ops other than ``none``. The certainty is 1 minus the normalized entropy of
    their distribution. The stability is the mean intersection of this distribution with previous ones. All three are
    scaled to 0 to 1 over the edges; one that is equal for all edges is left out.

    Args:
        scores: scores of the ops, [edges, ops].
        ops: True for the ops other than ``none``, [edges, ops].
        history: previous distributions, each [edges, ops].
    """
    p = op_distribution(scores, ops)
    entropy = torch.special.entr(p).sum(dim=-1) / ops.sum(dim=-1).clamp_min(2).log()
    parts = [(scores * ops).sum(dim=-1), 1 - entropy]
    if history:
        parts.append(torch.stack([torch.minimum(p, before).sum(dim=-1) for before in history]).mean(dim=0))
    return torch.stack([_scaled(part) for part in parts]).prod(dim=0)


def op_distribution(scores: Tensor, ops: Tensor) -> Tensor:
    """Return the scores of the ops other than ``none``, normalized to sum 1 per edge."""
    total = (scores * ops).sum(dim=-1, keepdim=True)
    return scores * ops / total.clamp_min(torch.finfo(scores.dtype).tiny)


def _scaled(values: Tensor) -> Tensor:
    spread = values.max() - values.min()
    return (values - values.min()) / spread if spread > 0 else torch.ones_like(values)


def _parametric(cell: Cell) -> Tensor:
    """Return the entries of the table that exist, without those of ``none``."""
    return cell.allowed() & torch.tensor([op != NONE for op in cell.ops])


def _edges_by_node(cell: Cell) -> list[list[int]]:
    """Return the edges with ops into each node."""
    return [[e for e in cell.into(node) if cell.choices(e)] for node in cell.nodes]
