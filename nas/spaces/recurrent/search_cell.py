"""The cell of the supernet: every node mixes all activations of all earlier nodes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from nas.architecture.cell import NONE, Architecture, Cell, EdgeWeights
from nas.spaces.recurrent.cell import ACTIVATIONS, RecurrentCell, highway, masked


@dataclass(frozen=True)
class NodePlan:
    """Execution of a node: the nodes that it reads, and the weights of the activations.

    Attributes:
        sources: the r nodes that it reads, each once.
        ops: the activations. A group of sources has one of them each, or all sources have all of them.
        weights: weights [r, 1] of the sources for each activation.
        total: weights [r, 1] of the sources, over all activations.
        ends: in groups, the end of the group of each activation among ``sources``; None for all with all.
    """

    sources: Sequence[int]
    ops: Sequence[str]
    weights: Sequence[Tensor]
    total: Tensor
    ends: Sequence[int] | None

    def mixture(self, gate: Tensor, states: Tensor) -> Tensor:
        """Return the weighted sum over candidates [B, n] of the states [B, r, n] and their gates [B, r, 2n].

        It is the sum over sources of w s + sigmoid(c) (sum_f p_f f(u) - w s), where w is the sum of all p_f.
        """
        c, u = gate.to(states.dtype).chunk(2, dim=-1)
        return torch.lerp(self.total * states, self._targets(u), torch.sigmoid(c)).sum(dim=1)

    def _targets(self, u: Tensor) -> Tensor:
        """Return the weighted sum of activations, [B, r, n] -> [B, r, n]."""
        if self.ends is not None:
            groups = zip(self.ops, (0, *self.ends), self.ends, strict=False)
            return self.total * torch.cat([ACTIVATIONS[op](u[:, start:end]) for op, start, end in groups], dim=1)
        target = self.weights[0] * ACTIVATIONS[self.ops[0]](u)
        for op, weight in zip(self.ops[1:], self.weights[1:], strict=True):
            target = torch.addcmul(target, weight, ACTIVATIONS[op](u))
        return target


class SearchCell(RecurrentCell):
    """The cell of the supernet. A batch norm without scale and shift follows each node, node 0 included.

    All nodes and all time steps share the batch norm and its running statistics (quark0/darts, rnn/model_search.py).

    Args:
        size: size n of the hidden states.
        cell: the table of edges and ops.
        input_dropout: dropout of the inputs.
        hidden_dropout: dropout of hidden states and nodes.
    """

    def __init__(self, size: int, cell: Cell, input_dropout: float, hidden_dropout: float) -> None:
        super().__init__(size, len(cell.nodes), input_dropout, hidden_dropout)
        self.cell = cell
        self.norm = nn.BatchNorm1d(size, affine=False)

    @property
    def norms(self) -> list[nn.BatchNorm1d]:
        return [self.norm]

    def plan(self, arch: Architecture | None, like: Tensor) -> list[NodePlan]:
        assert arch is not None
        (weights,) = arch.values()
        return [plan_node(self.cell, node, weights) for node in self.cell.nodes]

    def structure(self, plan: Sequence[NodePlan]) -> Hashable | None:
        """Return the sources and ops of each node, None if all edges have single ops, which samples change."""
        if all(node.ends is not None for node in plan):
            return None
        return tuple((tuple(node.sources), tuple(node.ops), node.ends and tuple(node.ends)) for node in plan)

    def step(self, gate: Tensor, h: Tensor, mask: Tensor | None, plan: Sequence[NodePlan]) -> Tensor:
        states = [self.norm(highway(gate, h, torch.tanh))]
        mask = None if mask is None else mask[:, None]
        for linear, node in zip(self.nodes, plan, strict=True):
            if not node.sources:
                states.append(self.norm(torch.zeros_like(states[0])))
                continue
            inputs = torch.stack([states[source] for source in node.sources], dim=1)
            states.append(self.norm(node.mixture(linear(masked(inputs, mask)), inputs)))
        return torch.stack([states[node] for node in self.cell.output]).mean(dim=0)


def plan_node(cell: Cell, node: int, weights: EdgeWeights) -> NodePlan:
    """Return the execution of a node under the edge weights of a cell; ``none`` has no output."""
    columns = [column for column, op in enumerate(cell.ops) if op != NONE]
    chosen = {e: [column for column in columns if weights.active[e][column]] for e in cell.into(node)}
    edges = [e for e, is_chosen in chosen.items() if is_chosen]
    used = sorted({column for e in edges for column in chosen[e]})
    ops = [cell.ops[column] for column in used]
    if all(len(chosen[e]) == 1 for e in edges):
        groups = [[e for e in edges if chosen[e][0] == column] for column in used]
        parts = [_weights(weights, group, column) for group, column in zip(groups, used, strict=True)]
        total = torch.cat(parts) if parts else weights.op.new_zeros(0, 1)
        sources = [cell.edges[e][0] for group in groups for e in group]
        return NodePlan(sources, ops, parts, total, list(accumulate(map(len, groups))))
    parts = [_weights(weights, edges, column) for column in used]
    return NodePlan([cell.edges[e][0] for e in edges], ops, parts, torch.stack(parts).sum(dim=0), None)


def _weights(weights: EdgeWeights, edges: Sequence[int], column: int) -> Tensor:
    """Return the weights [r, 1] of an op on edges, without a device synchronization; inactive ops have zeros."""
    first, last = edges[0], edges[-1] + 1
    if list(edges) == list(range(first, last)) and all(weights.active[e][column] for e in edges):
        rows = weights.op[first:last, column]  # a view in place of a copy per edge
    else:
        zero = weights.op.new_zeros(())
        rows = torch.stack([weights.op[e, column] if weights.active[e][column] else zero for e in edges])
    if weights.edge is not None:
        rows = rows * torch.stack([weights.edge[e] for e in edges])
    return rows[:, None]
