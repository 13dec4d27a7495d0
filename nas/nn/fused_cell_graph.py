"""A cell graph with fused kernels: the ops that leave a node are executed together instead of edge by edge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nas.architecture.cell import NONE, Cell
from nas.nn.cell_graph import CellGraph, DropPathTarget
from nas.nn.edges.mixed import EdgeFactory, EdgeRow, MixedEdge
from nas.nn.edges.partial_channels import PartialChannels, join_channels
from nas.nn.fused_convs import EdgeOp, can_convolve, convolve, is_plain_norm, shared_batch_norm, sort_for_convolve
from nas.nn.memory_format import is_channels_last
from nas.nn.ops import OpOptions
from nas.nn.pooling import Pool

MAX_PLANS = 256
"""Number of plans that a cell caches; a search that samples paths needs many."""

WeightedTerm = tuple[Tensor, Tensor | None]
"""Features or a scalar, and their weight; None stands for a weight that is already applied."""


class Plan(NamedTuple):
    """Grouping of the active ops that leave a node.

    ``convs`` are sorted for ``convolve``. Each group of ``shared`` consists of ops with equal outputs. ``others`` are
    executed one by one. ``mixes`` is whether all groups of ``shared`` lead to the same nodes, so that one matrix
    product mixes them.
    """

    convs: list[EdgeOp]
    shared: list[list[EdgeOp]]
    others: list[EdgeOp]
    mixes: bool


class NodeTerms(NamedTuple):
    """Terms of the sum of a node: outputs of ops, and bypassed channels of partial edges."""

    mixed: list[WeightedTerm]
    bypassed: list[WeightedTerm]


class FusedCellGraph(CellGraph):
    """A ``CellGraph`` with the same parameters and, up to rounding, the same output, in fewer and larger kernels.

    All convolutions of one shape that leave a node become one convolution. The batch norms after them become one batch
    norm, whose scale includes the weights of the ops. Pooling, and a batch norm without parameters after it, is
    computed once per node. Other ops run one by one.

    A restricted cell, a cell with active drop path, and a cell whose edges override ``forward`` run as a ``CellGraph``.
    Edges that sample random numbers do so in another order than in a ``CellGraph``. Hooks of ops are not called, except
    within ``unfused``.

    Args:
        cell, channels, stride, edge, options, drop_path_on: see ``CellGraph``.
        fused: False: run as a ``CellGraph``. None: the same, until a callback sets the attribute ``fused``.
    """

    def __init__(
        self,
        cell: Cell,
        channels: int,
        stride: Callable[[int], int],
        edge: EdgeFactory,
        options: OpOptions,
        drop_path_on: DropPathTarget = "op",
        fused: bool | None = True,
    ) -> None:
        super().__init__(cell, channels, stride, edge, options, drop_path_on)
        edges = [self._edge(e) for e in range(len(cell.edges))]
        divisors = {edge.channel_divisor if isinstance(edge, PartialChannels) else 1 for edge in edges}
        usual = all(type(edge).forward in (MixedEdge.forward, PartialChannels.forward) for edge in edges)
        self.can_fuse = usual and len(divisors) == 1 and all(source < target for source, target in cell.edges)
        self.fused = fused
        self.channel_divisor = divisors.pop()
        self.width = channels // self.channel_divisor
        self._leaving = {s: [e for e, (start, _) in enumerate(cell.edges) if start == s] for s, _ in cell.edges}
        self._plans: dict[tuple[Any, ...], Plan] = {}

    def forward(self, inputs: Sequence[Tensor], rows: Sequence[EdgeRow] | None = None) -> dict[int, Tensor]:
        dropping = self.training and self.drop_path.probability > 0
        if rows is None or dropping or not (self.can_fuse and self.fused):
            return super().forward(inputs, rows)
        features = dict(enumerate(inputs))
        terms = {node: NodeTerms([], []) for node in self.cell.nodes}
        for node in sorted({*self._leaving, *self.cell.nodes}):
            if node not in features:
                features[node] = self._sum_node(node, terms[node], features)
            if node in self._leaving:
                self._add_outputs(node, features[node], rows, terms)
        for memo in self._memos.values():
            memo.clear()
        return features

    def _add_outputs(self, source: int, x: Tensor, rows: Sequence[EdgeRow], terms: Mapping[int, NodeTerms]) -> None:
        """Execute the edges that leave ``x`` and add their outputs to the terms of their target nodes."""
        part, rest = (x, x) if self.channel_divisor == 1 else x.split([self.width, x.shape[1] - self.width], dim=1)
        plan = self._plan(source, rows)
        if plan.convs:
            for target, total in _sum_by_target(convolve(part, plan.convs, self._conv_scale(plan.convs, rows))):
                terms[target].mixed.append((total, None))
        outputs = [_shared_outputs(part, [op.op for op in group]) for group in plan.shared]
        if plan.mixes and all(y is ys[0] for ys in outputs for y in ys):
            for op, y in zip(plan.shared[0], _mix_shared([ys[0] for ys in outputs], plan.shared, rows), strict=True):
                terms[op.target].mixed.append((y, None))
        else:
            for op, y in zip(chain(*plan.shared), chain(*outputs), strict=True):
                terms[op.target].mixed.append((y, rows[op.row].weight(op.column)))
        for op in plan.others:
            y = self._edge(op.row).op_output(self.cell.ops[op.column], part)
            terms[op.target].mixed.append((y, rows[op.row].weight(op.column)))
        self._add_extras(source, part, rest, rows, terms)

    def _add_extras(
        self, source: int, part: Tensor, rest: Tensor, rows: Sequence[EdgeRow], terms: Mapping[int, NodeTerms]
    ) -> None:
        """Add the weights of inactive ops, the extra outputs of edges, and the bypassed channels."""
        bypass: Tensor | None = None
        for e in self._leaving[source]:
            edge, row, (mixed, bypassed) = self._edge(e), rows[e], terms[self.cell.edges[e][1]]
            inactive = row.inactive_weight() if edge.add_inactive else None
            if inactive is not None:
                mixed.append((inactive, row.scale))
            extra = edge.extra_output(part)
            if extra is not None:
                mixed.append((extra, None))
            if isinstance(edge, PartialChannels) and self.channel_divisor > 1 and any(row.active):
                bypass = edge.bypass(rest) if bypass is None else bypass
                bypassed.append((bypass, row.scale))

    def _sum_node(self, node: int, terms: NodeTerms, features: Mapping[int, Tensor]) -> Tensor:
        mixed, bypassed = _weighted_sum(terms.mixed), _weighted_sum(terms.bypassed)
        if mixed is None and bypassed is None:
            return self._zeros(features, self.cell.into(node))
        if mixed is not None and mixed.dim() == 0:
            mixed = mixed + self._zeros(features, self.cell.into(node))
        if self.channel_divisor == 1:
            assert mixed is not None
            return mixed
        assert bypassed is not None
        if mixed is None:
            mixed = bypassed.new_zeros(bypassed.shape[0], self.width, *bypassed.shape[2:])
        return join_channels(mixed, bypassed, self.channel_divisor)

    def _plan(self, source: int, rows: Sequence[EdgeRow]) -> Plan:
        edges = self._leaving[source]
        key = (source, *(tuple(rows[e].active) for e in edges))
        if key not in self._plans:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            self._plans[key] = self._make_plan(edges, rows)
        return self._plans[key]

    def _make_plan(self, edges: Sequence[int], rows: Sequence[EdgeRow]) -> Plan:
        convs: list[EdgeOp] = []
        shared: dict[Any, list[EdgeOp]] = {}
        others: list[EdgeOp] = []
        for e in edges:
            edge = self._edge(e)
            for column, (name, on) in enumerate(zip(edge.names, rows[e].active, strict=True)):
                if not on or name is None or name == NONE:
                    continue
                op = EdgeOp.of(e, column, self.cell.edges[e][1], edge[name])
                if not edge.is_plain(name):
                    others.append(op)
                elif can_convolve(op.op):
                    convs.append(op)
                elif _shared_key(op.op) is not None:
                    shared.setdefault(_shared_key(op.op), []).append(op)
                else:
                    others.append(op)
        targets = [[op.target for op in group] for group in shared.values()]
        mixes = sum(map(len, targets)) > 2 and all(group == targets[0] for group in targets)
        return Plan(sort_for_convolve(convs), list(shared.values()), others, mixes)

    def _conv_scale(self, ops: Sequence[EdgeOp], rows: Sequence[EdgeRow]) -> Tensor:
        """Return the weight of each op repeated for each channel, [ops * C]; cells of one width share it."""
        memo = rows[0].memo
        key = (self.width, tuple((op.row, op.column) for op in ops))
        if key not in memo:
            weights = torch.stack([rows[op.row].weight(op.column) for op in ops])
            dtype = next(ops[0].op.parameters()).dtype
            memo[key] = weights.to(dtype).repeat_interleave(self.width)
        return memo[key]

    def _edge(self, e: int) -> MixedEdge:
        edge = self.edges[self.keys[e]]
        assert isinstance(edge, MixedEdge)
        return edge


@contextmanager
def unfused(network: nn.Module) -> Iterator[None]:
    """Run every cell of ``network`` op by op within the context, so that hooks of ops are called."""
    graphs = [module for module in network.modules() if isinstance(module, FusedCellGraph) and module.fused]
    for graph in graphs:
        graph.fused = False
    try:
        yield
    finally:
        for graph in graphs:
            graph.fused = True


def _shared_key(op: nn.Module) -> Any:
    """Return a key that ops share if their outputs for one tensor are equal, None for an op with its own output."""
    if type(op) is nn.Identity:
        return "identity"
    if type(op) is Pool:
        return op.kind
    if type(op) is nn.Sequential and len(op) == 2 and isinstance(op[0], Pool) and is_plain_norm(op[1]):
        return None if op[1].affine else (*op[0].kind, "norm")
    return None


def _shared_outputs(x: Tensor, ops: Sequence[nn.Module]) -> list[Tensor]:
    """Return the outputs of ops with the same key, computed once; each op updates its own running statistics."""
    first = ops[0]
    if not isinstance(first, nn.Sequential):
        return [first(x)] * len(ops)
    return shared_batch_norm(first[0](x), [op[1] for op in ops])  # type: ignore[index]


def _mix_shared(
    features: Sequence[Tensor], groups: Sequence[Sequence[EdgeOp]], rows: Sequence[EdgeRow]
) -> list[Tensor]:
    """Return for each common target of ``groups`` the weighted sum of their ``features`` [B, C, H, W]."""
    memo, key = rows[0].memo, ("mixture", *((op.row, op.column) for group in groups for op in group))
    if key not in memo:
        weights = [rows[op.row].weight(op.column) for group in groups for op in group]
        memo[key] = torch.stack(weights).view(len(groups), -1)
    last = is_channels_last(features[0])
    stacked = torch.stack([y.permute(0, 2, 3, 1) if last else y for y in features])
    mixed = memo[key].t().to(stacked.dtype) @ stacked.flatten(1)
    parts = mixed.view(-1, *stacked.shape[1:]).unbind(0)
    return [part.permute(0, 3, 1, 2) for part in parts] if last else list(parts)


def _sum_by_target(outputs: Iterable[tuple[Sequence[EdgeOp], Tensor]]) -> Iterator[tuple[int, Tensor]]:
    """Split concatenated outputs by op, and yield them with their targets. Outputs of equal targets are summed."""
    totals: dict[tuple[int, ...], Tensor] = {}
    for ops, y in outputs:
        targets = tuple(op.target for op in ops)
        width, period = y.shape[1] // len(targets), len(set(targets))
        repeats = targets == targets[:period] * (len(targets) // period)
        key = targets[:period] if repeats else targets
        for part in y.split(len(key) * width, dim=1):
            totals[key] = totals[key] + part if key in totals else part
    for targets, total in totals.items():
        yield from zip(targets, total.split(total.shape[1] // len(targets), dim=1), strict=True)


def _weighted_sum(terms: Sequence[WeightedTerm]) -> Tensor | None:
    """Return the weighted sum of the terms, None if there are none. Scalars are broadcast."""
    total: Tensor | None = None
    for term, weight in sorted(terms, key=lambda pair: pair[1] is not None):
        if weight is None:
            total = term if total is None else total + term
        elif total is None or total.dim() == 0 or term.dim() == 0:
            total = term * weight if total is None else total + term * weight
        else:
            total = torch.addcmul(total, term, weight.to(term.dtype))
    return total
