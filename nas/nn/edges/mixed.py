"""The mixed edge: a weighted sum of candidate ops."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nas.architecture.cell import NONE, EdgeWeights
from nas.nn.ops import OpOptions, strided


class EdgeRow:
    """The row of one edge in an architecture's table, unbound once per forward pass for all cells of a type.

    Args:
        weights: scalar weight of each op, in the order of the table.
        active: whether each op is executed.
        scale: scalar weight of the whole edge, or None.
        memo: cache shared by all rows of a table; a cell stores tensors there that later cells reuse.
        measured: whether the weight of each op has a gradient (``BinaryGates``); None: as ``active``.
    """

    __slots__ = ("_inactive_weight", "_scaled", "_vector", "active", "measured", "memo", "scale", "weights")

    def __init__(
        self,
        weights: Sequence[Tensor],
        active: Sequence[bool],
        scale: Tensor | None,
        memo: dict[Any, Tensor] | None = None,
        measured: Sequence[bool] | None = None,
    ) -> None:
        self.measured = measured
        self.weights = weights
        self.active = active
        self.scale = scale
        self.memo: dict[Any, Tensor] = {} if memo is None else memo
        self._inactive_weight: Tensor | None = None
        self._scaled: Sequence[Tensor] | None = None
        self._vector: Tensor | None = None

    def weight(self, column: int) -> Tensor:
        """Return the weight of an op times the scale of the edge, computed once for all cells."""
        if self.scale is None:
            return self.weights[column]
        if self._scaled is None:
            self._scaled = self.vector().unbind(0)
        return self._scaled[column]

    def vector(self) -> Tensor:
        """Return the weights of all ops [ops] times the scale of the edge."""
        if self._vector is None:
            weights = torch.stack(list(self.weights))
            self._vector = weights if self.scale is None else weights * self.scale
        return self._vector

    def scaled(self, value: Tensor | None) -> Tensor | None:
        """Return ``value`` times the scale of the edge."""
        return value if value is None or self.scale is None else value * self.scale

    def inactive_weight(self) -> Tensor | None:
        """Return the sum of the weights of the ops that are not executed, None if all are."""
        if self._inactive_weight is None:
            inactive = [w for w, on in zip(self.weights, self.active, strict=True) if not on]
            self._inactive_weight = torch.stack(inactive).sum(dim=0) if inactive else None
        return self._inactive_weight


def unbind_rows(weights: EdgeWeights) -> list[EdgeRow]:
    """Return the rows of a table. A single unbind keeps the backward pass at one kernel per table."""
    scales = weights.edge.unbind(0) if weights.edge is not None else [None] * len(weights.active)
    measured: Sequence[Sequence[bool] | None] = weights.measured or [None] * len(weights.active)
    memo: dict[Any, Tensor] = {}
    return [
        EdgeRow(row.unbind(0), active, scale, memo, also)
        for row, active, scale, also in zip(weights.op.unbind(0), weights.active, scales, measured, strict=True)
    ]


class EdgeFactory(Protocol):
    """Builder of an edge; the edge is called as ``edge(x, row)`` and returns None if it has no output."""

    def __call__(self, ops: Sequence[str | None], channels: int, stride: int, options: OpOptions) -> MixedEdge:
        """Build an edge. ``ops`` has one entry per column of the table, None for an excluded op."""
        ...


class EdgeExecutor(Protocol):
    """Executes the ops of edges in another way, for example by compiled code."""

    def accepts(self, x: Tensor, row: EdgeRow) -> bool:
        """Return whether it executes an edge on ``x`` under ``row``."""
        ...

    def mixture(self, edge: MixedEdge, x: Tensor, row: EdgeRow) -> Tensor | None:
        """Return the weighted sum of the active ops of an edge times its scale, None if all of them are ``none``."""
        ...


def module_key(op: str) -> str:
    """Return the name of the module of an op, which has no dot: ``shuffle_3x3_1_4`` for ``shuffle_3x3_1.4``."""
    return op.replace(".", "_")


class MixedEdge(nn.ModuleDict):
    """The weighted sum of the active candidate ops, [B, C, H, W] -> [B, C, H/s, W/s].

    ``none`` is never built or executed, because it would add zeros.

    Args:
        ops: the candidates; None where an edge excludes one.
        channels: channels of the input and the output.
        stride: 1 or 2.
        options: options of the ops.
        add_inactive: whether the weights of the ops that are not executed are added to the output as scalars. They are
            numerically zero for a straight-through one-hot. Their gradient is that of an op with the constant output 1.
            The published code of GDAS does so on NAS-Bench-201 (AutoDL-Projects, search_cells.py).
    """

    executor: EdgeExecutor | None = None
    """Executor of the ops; None: the edge executes them one by one."""

    def __init__(
        self, ops: Sequence[str | None], channels: int, stride: int, options: OpOptions, add_inactive: bool = False
    ) -> None:
        built = [op for op in ops if op is not None and op != NONE]
        super().__init__({module_key(op): options.build(op, channels, stride) for op in built})
        self.names = tuple(ops)
        self.stride = stride
        self.add_inactive = add_inactive

    def forward(self, x: Tensor, row: EdgeRow | None = None) -> Tensor | None:
        """Return the mixture under ``row``. Without ``row``, return the output of the only op of a restricted cell."""
        out = next((op(x) for op in self.values()), None) if row is None else self._mixture(x, row)
        extra = self.extra_output(x)
        return extra if out is None else out if extra is None else out + extra

    def __getitem__(self, name: str) -> nn.Module:
        return super().__getitem__(module_key(name))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(module_key(name))

    def __setitem__(self, name: str, module: nn.Module) -> None:
        super().__setitem__(module_key(name), module)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(module_key(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> KeysView[str]:
        """Return the names of the ops that have a module."""
        return dict(self.items()).keys()

    def items(self) -> ItemsView[str, nn.Module]:
        """Return the modules by the names of their ops."""
        names = {module_key(name): name for name in self.names if name is not None}
        return {names.get(key, key): module for key, module in self._modules.items() if module is not None}.items()

    def op_output(self, name: str, x: Tensor) -> Tensor:
        """Return the output of one candidate before it is weighted."""
        out: Tensor = self[name](x)
        return out

    def is_plain(self, name: str) -> bool:
        """Return whether ``op_output`` of this candidate is the output of its module without changes."""
        return type(self).op_output is MixedEdge.op_output

    def extra_output(self, x: Tensor) -> Tensor | None:
        """Return a term that the edge adds to its mixture, None for no term."""
        return None

    def zeros(self, x: Tensor) -> Tensor:
        """Return zeros of the shape of the output."""
        return torch.zeros_like(strided(x, self.stride))

    def _mixture(self, x: Tensor, row: EdgeRow) -> Tensor | None:
        if self.executor is not None and self.executor.accepts(x, row):
            return self.executor.mixture(self, x, row)
        out: Tensor | None = None
        for name, weight, on in zip(self.names, row.weights, row.active, strict=True):
            if on and name is not None and name != NONE:
                term = weight * self.op_output(name, x)
                out = term if out is None else out + term
        inactive = row.inactive_weight() if self.add_inactive else None
        if inactive is not None:
            out = (self.zeros(x) if out is None else out) + inactive
        return out if out is None or row.scale is None else out * row.scale
