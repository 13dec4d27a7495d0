"""A cell executed node by node rather than op by op: what leaves a node is computed at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nas.architecture.cell import NONE, Cell
from nas.nn.cell_graph import CellGraph, DropPathTarget
from nas.nn.edges.mixed import EdgeFactory, MixedEdge, Row
from nas.nn.edges.partial_channels import PartialChannels, shuffle
from nas.nn.fused_ops import Term, convolve, in_order, known, plain_norm, shared_norm, term
from nas.nn.ops import OpOptions, Pool

PLANS = 256
"""How many plans a cell keeps; a search that samples its paths asks for many."""

Weighted = tuple[Tensor, Tensor | None]
"""Features, or a scalar, and the weight they are added with."""


class Plan(NamedTuple):
    """The ops that leave a node: convolutions in order, groups of ops of equal output, and the rest."""

    convs: list[Term]
    alike: list[list[Term]]
    others: list[Term]
    mixes: bool
    """Whether each group of ``alike`` leads to the same nodes, so that they mix by one product of matrices."""


class Sums(NamedTuple):
    """What has reached a node so far: outputs of ops, and channels that bypassed them (partial edges)."""

    mixed: list[Weighted]
    rest: list[Weighted]


class FusedGraph(CellGraph):
    """A ``CellGraph`` with the same parameters and the same output to rounding, in fewer and larger kernels.

    All convolutions of one shape that leave a node are one convolution, all batch norms behind them one batch norm
    whose factors are the weights of the ops; pooling, and a batch norm without parameters behind it, is computed once a
    node. Other ops run as they are, and so do a restricted cell, one with drop path and one whose edges have a
    ``forward`` of their own. Edges that draw random numbers draw them in another order than a ``CellGraph``. Hooks of
    ops are not called: see ``op_by_op``.
    """

    def __init__(
        self,
        cell: Cell,
        channels: int,
        stride: Callable[[int], int],
        edge: EdgeFactory,
        options: OpOptions,
        drop_path_on: DropPathTarget = "op",
    ) -> None:
        super().__init__(cell, channels, stride, edge, options, drop_path_on)
        edges = [self._edge(e) for e in range(len(cell.edges))]
        portions = {edge.channel_divisor if isinstance(edge, PartialChannels) else 1 for edge in edges}
        usual = all(type(edge).forward in (MixedEdge.forward, PartialChannels.forward) for edge in edges)
        self.fits = usual and len(portions) == 1 and all(source < target for source, target in cell.edges)
        self.fused = True
        self.portion = portions.pop()
        self.width = channels // self.portion
        self._leaving = {s: [e for e, (start, _) in enumerate(cell.edges) if start == s] for s, _ in cell.edges}
        self._plans: dict[tuple[Any, ...], Plan] = {}

    def forward(self, inputs: Sequence[Tensor], rows: Sequence[Row] | None = None) -> dict[int, Tensor]:
        dropping = self.training and self.drop_path.probability > 0
        if rows is None or dropping or not (self.fits and self.fused):
            return super().forward(inputs, rows)
        found = dict(enumerate(inputs))
        sums = {node: Sums([], []) for node in self.cell.nodes}
        for node in sorted({*self._leaving, *self.cell.nodes}):
            if node not in found:
                found[node] = self._node(node, sums[node], found)
            if node in self._leaving:
                self._leave(node, found[node], rows, sums)
        for memo in self._memos:
            memo.clear()
        return found

    def _leave(self, source: int, x: Tensor, rows: Sequence[Row], sums: Mapping[int, Sums]) -> None:
        """Adds what the edges that leave ``x`` carry to the nodes they lead to."""
        part = x if self.portion == 1 else x[:, : self.width]
        plan = self._plan(source, rows)
        if plan.convs:
            for terms, y in convolve(part, plan.convs, self._scale(plan.convs, rows)):
                for target, total in _by_target(terms, y):
                    sums[target].mixed.append((total, None))
        made = [_outputs(part, [term.op for term in group]) for group in plan.alike]
        if plan.mixes and all(y is ys[0] for ys in made for y in ys):
            for one, y in zip(plan.alike[0], _mixtures([ys[0] for ys in made], plan.alike, rows), strict=True):
                sums[one.target].mixed.append((y, None))
        else:
            for one, y in zip(chain(*plan.alike), chain(*made), strict=True):
                sums[one.target].mixed.append((y, rows[one.row].weight(one.column)))
        for one in plan.others:
            y = self._edge(one.row).compute(self.cell.ops[one.column], part)
            sums[one.target].mixed.append((y, rows[one.row].weight(one.column)))
        self._besides(source, x, part, rows, sums)

    def _besides(self, source: int, x: Tensor, part: Tensor, rows: Sequence[Row], sums: Mapping[int, Sums]) -> None:
        """Adds what edges carry that is no candidate's output."""
        bypassed: Tensor | None = None
        for e in self._leaving[source]:
            edge, row, (mixed, rest) = self._edge(e), rows[e], sums[self.cell.edges[e][1]]
            idle = row.rest() if edge.add_inactive else None
            if idle is not None:
                mixed.append((idle, row.scale))
            extra = edge.beside(part)
            if extra is not None:
                mixed.append((extra, None))
            if isinstance(edge, PartialChannels) and self.portion > 1 and any(row.active):
                bypassed = edge.bypass(x) if bypassed is None else bypassed
                rest.append((bypassed, row.scale))

    def _node(self, node: int, sums: Sums, found: Mapping[int, Tensor]) -> Tensor:
        mixed, rest = _total(sums.mixed), _total(sums.rest)
        if mixed is None and rest is None:
            return self._nothing(found, self.cell.into(node))
        if mixed is not None and mixed.dim() == 0:
            mixed = mixed + self._nothing(found, self.cell.into(node))
        if self.portion == 1:
            assert mixed is not None
            return mixed
        assert rest is not None
        if mixed is None:
            mixed = rest.new_zeros(rest.shape[0], self.width, *rest.shape[2:])
        return shuffle(torch.cat([mixed, rest], dim=1), self.portion)

    def _plan(self, source: int, rows: Sequence[Row]) -> Plan:
        edges = self._leaving[source]
        key = (source, *(tuple(rows[e].active) for e in edges))
        if key not in self._plans:
            if len(self._plans) >= PLANS:
                self._plans.clear()
            self._plans[key] = self._planned(edges, rows)
        return self._plans[key]

    def _planned(self, edges: Sequence[int], rows: Sequence[Row]) -> Plan:
        convs: list[Term] = []
        alike: dict[Any, list[Term]] = {}
        others: list[Term] = []
        for e in edges:
            edge = self._edge(e)
            for column, (name, on) in enumerate(zip(edge.names, rows[e].active, strict=True)):
                if not on or name is None or name == NONE:
                    continue
                found = term(e, column, self.cell.edges[e][1], edge[name])
                if not edge.is_plain(name):
                    others.append(found)
                elif known(found.op):
                    convs.append(found)
                elif _likeness(found.op) is not None:
                    alike.setdefault(_likeness(found.op), []).append(found)
                else:
                    others.append(found)
        targets = [[found.target for found in group] for group in alike.values()]
        mixes = sum(map(len, targets)) > 2 and all(group == targets[0] for group in targets)
        return Plan(in_order(convs), list(alike.values()), others, mixes)

    def _scale(self, terms: Sequence[Term], rows: Sequence[Row]) -> Tensor:
        """The weight of each term, once a channel: [terms * C]. Cells of one width make it once a forward pass."""
        memo = rows[0].memo
        key = (self.width, tuple((term.row, term.column) for term in terms))
        if key not in memo:
            weights = torch.stack([rows[term.row].weight(term.column) for term in terms])
            dtype = next(terms[0].op.parameters()).dtype
            memo[key] = weights.to(dtype)[:, None].expand(-1, self.width).reshape(-1)
        return memo[key]

    def _edge(self, e: int) -> MixedEdge:
        edge = self.edges[self.keys[e]]
        assert isinstance(edge, MixedEdge)
        return edge


@contextmanager
def op_by_op(network: nn.Module) -> Iterator[None]:
    """Within it every cell of ``network`` runs op by op, so that hooks see each of them."""
    graphs = [module for module in network.modules() if isinstance(module, FusedGraph) and module.fused]
    for graph in graphs:
        graph.fused = False
    try:
        yield
    finally:
        for graph in graphs:
            graph.fused = True


def _likeness(op: nn.Module) -> Any:
    """A key that ops share whose output of one tensor is the same; None for an op that has no likes."""
    if isinstance(op, nn.Identity):
        return "identity"
    if isinstance(op, Pool):
        return op.kind
    if type(op) is nn.Sequential and len(op) == 2 and isinstance(op[0], Pool) and plain_norm(op[1]):
        return None if op[1].affine else (*op[0].kind, "norm")
    return None


def _outputs(x: Tensor, ops: Sequence[nn.Module]) -> list[Tensor]:
    """The outputs of ops that are alike; running statistics are those of each."""
    first = ops[0]
    if not isinstance(first, nn.Sequential):
        return [first(x)] * len(ops)
    return shared_norm(first[0](x), [op[1] for op in ops])  # type: ignore[index]


def _mixtures(features: Sequence[Tensor], groups: Sequence[Sequence[Term]], rows: Sequence[Row]) -> list[Tensor]:
    """For each node that all ``groups`` lead to, in order, the weighted sum of their ``features`` [B, C, H, W]."""
    memo, key = rows[0].memo, ("mixture", *((term.row, term.column) for group in groups for term in group))
    if key not in memo:
        weights = [rows[term.row].weight(term.column) for group in groups for term in group]
        memo[key] = torch.stack(weights).view(len(groups), -1)
    stacked = torch.stack(list(features))
    mixed = memo[key].t().to(stacked.dtype) @ stacked.flatten(1)
    return list(mixed.view(-1, *features[0].shape).unbind(0))


def _by_target(terms: Sequence[Term], y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """The features of ``terms`` side by side, added up for each node they lead to, as far as they stand in a grid."""
    targets = [term.target for term in terms]
    period = len(set(targets))
    width = y.shape[1] // len(targets)
    if targets == targets[:period] * (len(targets) // period):
        parts = y.split(period * width, dim=1)
        y = sum(parts[1:], start=parts[0])
        targets = targets[:period]
    yield from zip(targets, y.split(width, dim=1), strict=True)


def _total(parts: Sequence[Weighted]) -> Tensor | None:
    """The weighted sum; scalars are added to whatever there is."""
    total: Tensor | None = None
    for part, weight in sorted(parts, key=lambda pair: pair[1] is not None):
        if weight is None:
            total = part if total is None else total + part
        elif total is None or total.dim() == 0 or part.dim() == 0:
            total = part * weight if total is None else total + part * weight
        else:
            total = torch.addcmul(total, part, weight.to(part.dtype))
    return total
