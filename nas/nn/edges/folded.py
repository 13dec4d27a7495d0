"""Execution of mixed edges with the mixing weights inside batch norm."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture.cell import NONE
from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.memory_format import densify, is_channels_last
from nas.nn.ops import NormedOp, split_norm


class WeightFolding:
    """Execution of mixed edges with fewer passes over the features.

    The last batch norm of an op scales its output by the mixing weight, and its backward pass yields the gradient of
    the weight. Neither a weighted copy of the output nor its product with the gradient is computed. The outputs of
    the ops are added in place, those without a plain batch norm last (``add_scaled``). The weights of ops that are not
    executed (``MixedEdge.add_inactive``) enter the shift of a batch norm. Results are equal to those of the edge itself
    up to rounding.
    """

    def __init__(self) -> None:
        self._split: WeakKeyDictionary[nn.Module, NormedOp | None] = WeakKeyDictionary()

    def accepts(self, x: Tensor, row: EdgeRow) -> bool:
        """Return whether an edge is executed this way for ``x`` [B, C, H, W] under ``row``."""
        return torch.is_grad_enabled()

    def mixture(self, edge: MixedEdge, x: Tensor, row: EdgeRow) -> Tensor | None:
        """Return the weighted sum of the active ops of an edge times its scale, None if all of them are ``none``."""
        names = [(c, n) for c, n in enumerate(edge.names) if row.active[c] and n is not None and n != NONE]
        shift = row.scaled(row.inactive_weight()) if edge.add_inactive else None
        if shift is not None and not shift.requires_grad:
            shift = None  # its value is zero up to rounding; only its gradient matters
        out: Tensor | None = None
        normed = [(column, op) for column, name in names if (op := self._normed(edge, name)) is not None]
        for column, op in normed:
            term = scaled_norm(op.norm, op.features(x), row.weight(column), shift)
            shift = None
            out = term if out is None else out.add_(term)
        for column, name in names:
            if self._normed(edge, name) is None:
                out = add_scaled(out, edge.op_output(name, x), row.weight(column))
        if shift is not None:
            out = out + shift if out is not None else edge.zeros(x) + shift
        if out is not None and out.requires_grad:
            out.register_hook(densify)  # otherwise each batch norm copies a slice of the gradient of a concatenation
        return out

    def _normed(self, edge: MixedEdge, name: str) -> NormedOp | None:
        op = edge[name]
        if op not in self._split:
            self._split[op] = split_norm(op) if edge.is_plain(name) else None
        return self._split[op]


class _AddScaled(torch.autograd.Function):
    """``total + weight * x`` in place, for a scalar ``weight``; the gradient of the weight is one inner product."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.mark_dirty(total)
        return total.addcmul_(x, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        x_grad = grad * weight if ctx.needs_input_grad[1] else None
        return grad, x_grad, _inner_product(grad, x) if ctx.needs_input_grad[2] else None


def add_scaled(total: Tensor | None, x: Tensor, weight: Tensor) -> Tensor:
    """Add ``x`` times the scalar ``weight`` to ``total`` in place; return the product alone if ``total`` is None."""
    if total is None:
        return weight * x
    if not total.dtype == x.dtype == weight.dtype or not total.requires_grad:
        return total.add_(weight * x)
    found: Tensor = _AddScaled.apply(total, x, weight)
    return found


def _inner_product(a: Tensor, b: Tensor) -> Tensor:
    """Return the sum of the products of features of one shape, without their products if the formats agree."""
    if a.stride() != b.stride():
        return (a * b).sum()
    if is_channels_last(a):
        a, b = a.permute(0, 2, 3, 1), b.permute(0, 2, 3, 1)
    return torch.dot(a.reshape(-1), b.reshape(-1))


def scaled_norm(norm: nn.BatchNorm2d, x: Tensor, scale: Tensor, shift: Tensor | None = None) -> Tensor:
    """Return the batch norm of ``x`` [B, C, H, W] times the scalar ``scale`` plus the scalar ``shift``."""
    channels = x.shape[1]
    weight = scale.repeat(channels) if norm.weight is None else norm.weight * scale
    bias = None if norm.bias is None else norm.bias * scale
    if shift is not None:
        bias = shift.repeat(channels) if bias is None else bias + shift
    batch_statistics = norm.training or norm.running_mean is None
    if norm.training and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    momentum = 0.0 if norm.momentum is None else norm.momentum
    return F.batch_norm(x, norm.running_mean, norm.running_var, weight, bias, batch_statistics, momentum, norm.eps)
