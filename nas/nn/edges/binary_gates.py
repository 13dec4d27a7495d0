"""Edges with binary gates (ProxylessNAS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture.cell import NONE
from nas.nn.edges.mixed import EdgeRow, MixedEdge


class BinaryGates(MixedEdge):
    """A mixed edge that executes one op and measures others: ProxylessNAS (Cai et al., ICLR 2019, section 3.2).

    The weights of a row are gates. The gradient of the gate of an op is the sum of its output times the gradient of the
    edge's output. For measured ops that are not active, it is computed in the backward pass, where the ops run one
    after the other without a graph. An architecture step thus needs the memory of a single path. The measured ops run
    in training mode and update their batch norm statistics, as in the authors' code.
    """

    def _mixture(self, x: Tensor, row: EdgeRow) -> Tensor | None:
        out = super()._mixture(x, row)
        if row.measured is None or out is None or not torch.is_grad_enabled():
            return out
        columns = [
            column
            for column, name in enumerate(self.names)
            if row.measured[column] and not row.active[column] and name is not None and name != NONE
        ]
        ops = [self[str(self.names[column])] for column in columns]
        gated: Tensor = _MeasureGates.apply(out, x.detach(), ops, *[row.weight(column) for column in columns])
        return gated


class _MeasureGates(torch.autograd.Function):
    """The identity of ``out``, whose backward pass yields the gradients of the gates of inactive ops."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, x: Tensor, ops: Sequence[nn.Module], *gates: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        ctx.ops = ops
        ctx.gate_dtypes = [gate.dtype for gate in gates]
        device = x.device.type
        ctx.autocast = (device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))
        return out.view_as(out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        device, dtype, enabled = ctx.autocast
        grads = []
        with torch.no_grad(), torch.autocast(device, dtype, enabled=enabled):
            for op, gate_dtype in zip(ctx.ops, ctx.gate_dtypes, strict=True):
                grads.append((op(x).to(gate_dtype) * grad.to(gate_dtype)).sum())
        return grad, None, None, *grads
