"""A relaxation whose paths are written by a recurrent network."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell, EdgeWeights
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation
from nas.relaxations.sampling import drawn


class Written(NamedTuple):
    """A path that the controller wrote: one-hot weights, and the log-probability and entropy of its decisions."""

    arch: Architecture
    log_p: Tensor
    entropy: Tensor


class _Pen:
    """The state of the recurrent network while it writes: the last decision, the hidden state, the sums."""

    def __init__(self, first: Tensor) -> None:
        self.input = first
        self.state: tuple[Tensor, Tensor] | None = None
        self.log_p = first.new_zeros(())
        self.entropy = first.new_zeros(())


class Controller(Relaxation):
    """ENAS' controller: an LSTM that decides the ops of a cell one after another (Pham et al., ICML 2018).

    Its input is a learned vector at first, then the embedding of the last decision; logits are divided by
    ``temperature`` and squashed to ``bound`` * tanh. Where a node keeps only some of its edges, each of its links
    is two decisions, an edge that is still free and an op; else each edge is one. All parameters the reference
    initializes start uniform within ``spread``. Cells are written in turn, so that later ones know of earlier ones.

    ``alpha`` is not trained: it counts the ops of the paths in ``remember``, so that scores and entropy, as of any
    relaxation, tell what the controller prefers.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
        hidden: int = 32,
        layers: int = 2,
        temperature: float = 5.0,
        bound: float = 2.5,
        spread: float = 0.1,
    ) -> None:
        super().__init__(cells, init_std=0.0)
        self.alpha.requires_grad_(False)
        self.temperature = temperature
        self.bound = bound
        self.tokens = list(dict.fromkeys(itertools.chain(*(cell.ops for cell in cells.values()))))
        nodes = [len(cell.into(node)) for cell in cells.values() if cell.inputs is not None for node in cell.nodes]
        places = max(nodes, default=0)
        self.first = nn.Parameter(torch.empty(1, hidden))
        self.embedding = nn.Embedding(len(self.tokens) + places, hidden)
        self.lstm = nn.LSTM(hidden, hidden, layers)
        self.op_head = nn.Linear(hidden, len(self.tokens))
        self.edge_head = nn.Linear(hidden, places) if places else None
        weights: list[Tensor] = [self.first, self.embedding.weight, self.op_head.weight]
        weights += [] if self.edge_head is None else [self.edge_head.weight]
        for weight in (*weights, *map(self.lstm.get_parameter, ("weight_ih_l0", "weight_hh_l0"))):
            nn.init.uniform_(weight, -spread, spread)
        for name, cell in self.cells.items():
            columns = torch.tensor([self.tokens.index(op) for op in cell.ops])
            choosable = torch.tensor([[op in cell.choices(e) for op in cell.ops] for e in range(len(cell.edges))])
            self.register_buffer(f"columns_{name}", columns, persistent=False)
            self.register_buffer(f"choosable_{name}", choosable, persistent=False)
            for node in cell.nodes:
                self.register_buffer(f"rows_{name}_{node}", torch.tensor(cell.into(node)), persistent=False)

    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        raise TypeError("a controller writes all cells in turn")

    def forward(self, masks: Masks) -> Architecture:
        with torch.no_grad():
            return self.write(masks).arch

    def write(self, masks: Masks) -> Written:
        """Draws a path; its log-probability and entropy are differentiable in the controller's parameters."""
        pen = _Pen(self.first)
        chosen: dict[str, tuple[list[Tensor], list[Tensor]]] = {}
        for name, cell in self.cells.items():
            table = masks.table(name) & self.get_buffer(f"choosable_{name}")
            chosen[name] = self._write_cell(pen, name, cell, table)
        # the one transfer: every edge and op that was chosen
        flat = torch.stack([torch.cat(pair) for parts in chosen.values() for pair in zip(*parts, strict=True)])
        arch, pairs = {}, iter(flat.tolist())
        for name, cell in self.cells.items():
            active = [[False] * len(cell.ops) for _ in cell.edges]
            for edge, column in itertools.islice(pairs, len(chosen[name][0])):
                active[edge][column] = True
            arch[name] = EdgeWeights(torch.tensor(active).to(self.alpha[name]), active)
        return Written(arch, pen.log_p, pen.entropy)

    def remember(self, paths: list[Architecture]) -> None:
        """Makes alpha the logarithm of how often each op is in the paths, each counted once more."""
        with torch.no_grad():
            for name, alpha in self.alpha.items():
                alpha.copy_((1 + torch.stack([path[name].op for path in paths]).sum(0)).log())

    def _write_cell(self, pen: _Pen, name: str, cell: Cell, table: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The chosen edges and columns, int64 [1] each, indexed so that the device is not waited for."""
        edges: list[Tensor] = []
        picked: list[Tensor] = []
        for node in cell.nodes:
            rows = self.get_buffer(f"rows_{name}_{node}")
            free = table.index_select(0, rows).any(-1)
            links = len(rows) if cell.inputs is None else min(cell.inputs, len(rows))
            for link in range(links):
                edge = rows[link : link + 1]
                if links < len(rows) and self.edge_head is not None:
                    place = self._decide(pen, self.edge_head, free, torch.arange(len(rows), device=rows.device))
                    free = free.scatter(0, place, False)
                    edge = rows.index_select(0, place)
                edges.append(edge)
                allowed = table.index_select(0, edge).squeeze(0)
                picked.append(self._decide(pen, self.op_head, allowed, self.get_buffer(f"columns_{name}")))
        return edges, picked

    def _decide(self, pen: _Pen, head: nn.Linear, allowed: Tensor, outputs: Tensor) -> Tensor:
        """Draws one of ``allowed`` [n], a bool mask, int64 [1]; ``outputs`` [n] are their places in the head."""
        hidden, pen.state = self.lstm(pen.input[None], pen.state)
        logits = self.bound * torch.tanh(head(hidden[0, 0]).index_select(0, outputs) / self.temperature)
        log_p = logits.masked_fill(~allowed, -torch.inf).log_softmax(-1)
        chosen = drawn(log_p.detach().exp(), self.generator(log_p.device))
        pen.log_p = pen.log_p + log_p.gather(0, chosen).sum()
        pen.entropy = pen.entropy - (log_p.exp() * log_p.masked_fill(~allowed, 0.0)).sum()
        token = outputs.index_select(0, chosen) + (0 if head is self.op_head else len(self.tokens))
        pen.input = self.embedding(token)
        return chosen
