"""How an edge mixes its candidate ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nas.architecture.cell import NONE, EdgeWeights
from nas.nn.ops import OPS, OpOptions, strided


class Row:
    """One edge's row of an architecture, taken apart once a forward pass and shared by all cells of a type.

    ``weights`` are the scalars of the ops in the order of the table, ``scale`` that of the whole edge. ``memo`` belongs
    to all rows of the table: what cells have made of their weights, by a key of their choice, for the cells after them.
    """

    __slots__ = ("_rest", "active", "memo", "scale", "weights")

    def __init__(
        self,
        weights: Sequence[Tensor],
        active: Sequence[bool],
        scale: Tensor | None,
        memo: dict[Any, Tensor] | None = None,
    ) -> None:
        self.weights = weights
        self.active = active
        self.scale = scale
        self.memo: dict[Any, Tensor] = {} if memo is None else memo
        self._rest: Tensor | None = None

    def weight(self, column: int) -> Tensor:
        """What the output of an op is multiplied by: its weight, times the scale of the edge."""
        return self.weights[column] if self.scale is None else self.weights[column] * self.scale

    def rest(self) -> Tensor | None:
        """The sum of the weights of the ops that are not executed, None where all are."""
        if self._rest is None:
            rest = [w for w, on in zip(self.weights, self.active, strict=True) if not on]
            self._rest = torch.stack(rest).sum() if rest else None
        return self._rest


def rows(weights: EdgeWeights) -> list[Row]:
    """The rows of an architecture's table. Unbinding once keeps the backward pass at one kernel a table."""
    scales = weights.edge.unbind(0) if weights.edge is not None else [None] * len(weights.active)
    memo: dict[Any, Tensor] = {}
    return [
        Row(row.unbind(0), active, s, memo)
        for row, active, s in zip(weights.op.unbind(0), weights.active, scales, strict=True)
    ]


class EdgeFactory(Protocol):
    """Builds an edge: a module called as ``edge(x, row)`` that returns None where it carries nothing."""

    def __call__(self, ops: Sequence[str | None], channels: int, stride: int, options: OpOptions) -> MixedEdge:
        """``ops`` has one entry a column of the table, None where the entry is excluded."""
        ...


class MixedEdge(nn.ModuleDict):
    """The weighted sum of the candidate ops that are active, [B, C, H, W] -> [B, C, H/s, W/s].

    ``none`` is never built or run: it would add zeros. With ``add_inactive`` the weights of the ops that
    are not executed are added to the output as scalars. They are numerically zero where the weights are a
    straight-through one-hot, but give those weights the gradient of an op whose output is constantly 1.
    This is what GDAS' published code does on NAS-Bench-201 (AutoDL-Projects, search_cells.py).
    """

    def __init__(
        self, ops: Sequence[str | None], channels: int, stride: int, options: OpOptions, add_inactive: bool = False
    ) -> None:
        super().__init__({op: OPS[op](channels, stride, options) for op in ops if op not in (None, NONE)})
        self.names = tuple(ops)
        self.stride = stride
        self.add_inactive = add_inactive

    def forward(self, x: Tensor, row: Row | None = None) -> Tensor | None:
        """The mixture under ``row``; without one the only op of a restricted cell, unweighted."""
        out = next((op(x) for op in self.values()), None) if row is None else self._mixture(x, row)
        extra = self.beside(x)
        return extra if out is None else out if extra is None else out + extra

    def compute(self, name: str, x: Tensor) -> Tensor:
        """The output of one candidate, before it is weighted."""
        out: Tensor = self[name](x)
        return out

    def is_plain(self, name: str) -> bool:
        """Whether ``compute`` of this candidate is its module's output and nothing else."""
        return type(self).compute is MixedEdge.compute

    def beside(self, x: Tensor) -> Tensor | None:
        """What the edge adds to its mixture, if anything."""
        return None

    def _mixture(self, x: Tensor, row: Row) -> Tensor | None:
        out: Tensor | None = None
        for name, weight, on in zip(self.names, row.weights, row.active, strict=True):
            if on and name is not None and name != NONE:
                term = weight * self.compute(name, x)
                out = term if out is None else out + term
        rest = row.rest() if self.add_inactive else None
        if rest is not None:
            out = (torch.zeros_like(strided(x, self.stride)) if out is None else out) + rest
        return out if out is None or row.scale is None else out * row.scale
