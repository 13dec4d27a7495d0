"""Recurrent controller that samples paths (ENAS)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell, EdgeWeights
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation
from nas.relaxations.sample_categorical import sample_categorical
from nas.utils.device_tensor import device_tensor
from nas.utils.ranges import CHANNELS, LAYERS, NOT_NEGATIVE, POSITIVE, check_ranges


class SampledPath(NamedTuple):
    """A path sampled by the controller."""

    arch: Architecture
    """One-hot weights."""
    log_prob: Tensor
    """Log-probability of the path, a scalar that is differentiable in the controller's parameters."""
    entropy: Tensor
    """Sum of the entropies of all decisions, in nats; differentiable too."""


class _DecodingState:
    """State of the recurrent network while it samples a path: its input, its hidden state and the running sums."""

    def __init__(self, first: Tensor) -> None:
        self.input = first
        self.hidden: tuple[Tensor, Tensor] | None = None
        self.log_prob = first.new_zeros(())
        self.entropy = first.new_zeros(())


@check_ranges(hidden=CHANNELS, layers=LAYERS, temperature=POSITIVE, bound=POSITIVE, spread=NOT_NEGATIVE)
class Controller(Relaxation):
    """ENAS' controller: an LSTM that selects the ops of a cell one after another (Pham et al., ICML 2018).

    The first input is a learned vector, every further input is the embedding of the last decision. If nodes keep
    only some of their edges, each link takes two decisions: a free edge and an op. Otherwise each edge takes one.
    Cells are sampled in turn, so that later cells depend on earlier ones.

    ``alpha`` is not trained. ``update_alpha`` sets it to op counts of recent paths, so that scores and entropy
    describe the controller's preferences as they do for any relaxation.

    Args:
        cells: the search space.
        hidden: width of the LSTM and of the embeddings.
        layers: number of LSTM layers.
        temperature: divisor of the logits.
        bound: logits are squashed to bound * tanh(logits / temperature).
        spread: bound of the uniform initialization of all parameters that the reference code initializes.
    """

    selects_edges = True

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
        edge_slots = max(nodes, default=0)
        self.first = nn.Parameter(torch.empty(1, hidden))
        self.embedding = nn.Embedding(len(self.tokens) + edge_slots, hidden)
        self.lstm = nn.LSTM(hidden, hidden, layers)
        self.op_head = nn.Linear(hidden, len(self.tokens))
        self.edge_head = nn.Linear(hidden, edge_slots) if edge_slots else None
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

    def sample(self, masks: Masks) -> Architecture:
        with torch.no_grad():
            return self.sample_path(masks).arch

    def sample_path(self, masks: Masks) -> SampledPath:
        """Sample a path with its differentiable log-probability and entropy."""
        state = _DecodingState(self.first)
        chosen: dict[str, tuple[list[Tensor], list[Tensor]]] = {}
        for name, cell in self.cells.items():
            table = masks.table(name) & self.get_buffer(f"choosable_{name}")
            chosen[name] = self._sample_cell(state, name, cell, table)
        # the only transfer from the device: all chosen edges and ops at once
        flat = torch.stack([torch.cat(pair) for parts in chosen.values() for pair in zip(*parts, strict=True)])
        arch, pairs = {}, iter(flat.tolist())
        for name, cell in self.cells.items():
            active = [[False] * len(cell.ops) for _ in cell.edges]
            for edge, column in itertools.islice(pairs, len(chosen[name][0])):
                active[edge][column] = True
            arch[name] = EdgeWeights(device_tensor(active, self.alpha[name].device, self.alpha[name].dtype), active)
        return SampledPath(arch, state.log_prob, state.entropy)

    def update_alpha(self, paths: list[Architecture]) -> None:
        """Set alpha to the log of one plus the number of paths that contain each op."""
        with torch.no_grad():
            for name, alpha in self.alpha.items():
                alpha.copy_((1 + torch.stack([path[name].op for path in paths]).sum(0)).log())

    def _sample_cell(
        self, state: _DecodingState, name: str, cell: Cell, table: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Sample the edges and op columns of a cell, int64 [1] each, without a device synchronization."""
        edges: list[Tensor] = []
        columns: list[Tensor] = []
        for node in cell.nodes:
            rows = self.get_buffer(f"rows_{name}_{node}")
            free = table.index_select(0, rows).any(-1)
            links = len(rows) if cell.inputs is None else min(cell.inputs, len(rows))
            for link in range(links):
                edge = rows[link : link + 1]
                if links < len(rows) and self.edge_head is not None:
                    slots = torch.arange(len(rows), device=rows.device)
                    slot = self._decide(state, self.edge_head, free, slots)
                    free = free.scatter(0, slot, False)
                    edge = rows.index_select(0, slot)
                edges.append(edge)
                allowed = table.index_select(0, edge).squeeze(0)
                columns.append(self._decide(state, self.op_head, allowed, self.get_buffer(f"columns_{name}")))
        return edges, columns

    def _decide(self, state: _DecodingState, head: nn.Linear, allowed: Tensor, outputs: Tensor) -> Tensor:
        """Sample one decision and feed it back as the next input.

        Args:
            state: the decoding state, updated in place.
            head: the layer that gives the logits.
            allowed: bool mask of the choices [n].
            outputs: the output of ``head`` for each choice, int64 [n].

        Returns:
            The index of the choice, int64 [1].
        """
        hidden, state.hidden = self.lstm(state.input[None], state.hidden)
        logits = self.bound * torch.tanh(head(hidden[0, 0]).index_select(0, outputs) / self.temperature)
        log_prob = logits.masked_fill(~allowed, -torch.inf).log_softmax(-1)
        chosen = sample_categorical(log_prob.detach().exp(), self.generator(log_prob.device))
        state.log_prob = state.log_prob + log_prob.gather(0, chosen).sum()
        state.entropy = state.entropy - (log_prob.exp() * log_prob.masked_fill(~allowed, 0.0)).sum()
        token = outputs.index_select(0, chosen) + (0 if head is self.op_head else len(self.tokens))
        state.input = self.embedding(token)
        return chosen
