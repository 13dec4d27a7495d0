"""Fused evaluation of a cell with equal weights: the convolutions of each node's features run as one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.nn.cell_graph import CellGraph
from nas.nn.ops import DilatedConv, FactorizedReduce, ReluConvNorm, SeparableConv, strided
from nas.nn.pooling import Pool
from nas.utils.device_tensor import device_tensor

Rows = Sequence[Sequence[bool]]
FUSED_OPS = (nn.Identity, Pool, ReluConvNorm, SeparableConv, DilatedConv, FactorizedReduce)
"""Ops that ``evaluate_nodes`` supports."""


class ConvStage(NamedTuple):
    """ReLU, convolution and batch norm: an op, or half of an op.

    The convolution has ``kernel`` [out, in, k, k], or a depthwise ``kernel`` [in, 1, k, k] followed by ``pointwise``
    [out, in, 1, 1].
    """

    relu: nn.ReLU
    kernel: Tensor
    pointwise: Tensor | None
    dilation: int
    stride: int
    norm: nn.BatchNorm2d

    @property
    def kind(self) -> tuple[int, bool]:
        """Kernel size, and whether the convolution is depthwise separable."""
        return self.kernel.shape[-1], self.pointwise is not None

    @property
    def inputs(self) -> int:
        """Number of input channels."""
        return (self.kernel if self.pointwise is None else self.pointwise).shape[1]


class PendingOp(NamedTuple):
    """Op that leads to node ``target`` with weight ``share``, and its remaining stages."""

    target: int
    share: float
    stages: list[ConvStage]


Contribution = tuple[int, float, Tensor]
"""Summand of a node: the node, a weight, and features [B, C, H, W]."""


def can_fuse_op(op: nn.Module) -> bool:
    """Return whether ``evaluate_nodes`` supports an op."""
    if type(op) not in FUSED_OPS:  # the class of a custom op may execute its layers in another way
        return False
    biases = (isinstance(m, nn.Conv2d) and m.bias is not None for m in op.modules())
    not_affine = (isinstance(m, nn.BatchNorm2d) and not m.affine for m in op.modules())
    return not any(biases) and not any(not_affine)


def evaluate_nodes(graph: CellGraph, inputs: Sequence[Tensor], alive: Rows) -> dict[int, Tensor]:
    """Return the features of every node; each edge is the mean of its ops in ``alive``.

    Convolutions with few channels cost as much as those with many. All convolutions that read one node therefore run as
    one convolution per dilation, with small kernels padded by zeros, and one batch norm. Running statistics are not
    tracked.
    """
    features = dict(enumerate(inputs))
    for source in range(len(inputs) + len(graph.cell.nodes)):
        if source not in features:
            features[source] = _zero_features(graph, source, features)
        edges = [e for e, (start, _) in enumerate(graph.cell.edges) if start == source]
        for target, share, part in _contributions(graph, edges, features[source], alive):
            if target in features:
                features[target] = torch.add(features[target], part, alpha=share)
            else:
                features[target] = part if share == 1 else share * part
    return features


def _zero_features(graph: CellGraph, node: int, features: dict[int, Tensor]) -> Tensor:
    e = graph.cell.into(node)[0]
    stride = graph.edges[graph.keys[e]].stride
    assert isinstance(stride, int)
    return torch.zeros_like(strided(features[graph.cell.edges[e][0]], stride))


def _contributions(graph: CellGraph, edges: Sequence[int], x: Tensor, alive: Rows) -> list[Contribution]:
    """Return the contributions of edges that all read ``x`` to their target nodes."""
    pending: list[PendingOp] = []
    contributions: list[Contribution] = []
    pooled: dict[tuple[str, int], Tensor] = {}
    for e in edges:
        target, share = graph.cell.edges[e][1], 1 / max(sum(alive[e]), 1)
        edge = graph.edges[graph.keys[e]]
        for name, on in zip(graph.cell.ops, alive[e], strict=True):
            if not on or name not in edge:  # type: ignore[operator]
                continue
            op = edge[name]  # type: ignore[index]
            if isinstance(op, Pool):
                if op.kind not in pooled:
                    pooled[op.kind] = op.pool(x)
                contributions.append((target, share, pooled[op.kind]))
            elif isinstance(op, nn.Identity):
                contributions.append((target, share, x))
            else:
                pending.append(PendingOp(target, share, _stages(op)))
    while pending:
        x, done, pending = _run_stage(x, pending)
        contributions += done
    return contributions


def _run_stage(x: Tensor, pending: Sequence[PendingOp]) -> tuple[Tensor, list[Contribution], list[PendingOp]]:
    """Run the first stages of all pending ops at once.

    Args:
        x: common input of the ops, or their inputs concatenated along the channels.
        pending: the ops.

    Returns:
        Features of the unfinished ops, contributions of the finished ops, and the unfinished ops.
    """
    conv_groups = x.shape[1] // pending[0].stages[0].inputs
    by_dilation: dict[int, list[PendingOp]] = {}
    for op in sorted(pending, key=lambda op: op.stages[0].kind) if conv_groups == 1 else ():
        by_dilation.setdefault(op.stages[0].dilation, []).append(op)
    order = [op for group in by_dilation.values() for op in group] or list(pending)
    x = order[0].stages[0].relu(x)
    outputs = [_conv(x, [op.stages[0] for op in group], conv_groups) for group in by_dilation.values() or [order]]
    y = _norm(torch.cat(outputs, dim=1), order)
    parts = list(zip(order, y.split(y.shape[1] // len(order), dim=1), strict=True))
    done = [(op.target, 1.0, part) for op, part in parts if len(op.stages) == 1]
    unfinished = [(op, part) for op, part in parts if len(op.stages) > 1]
    x = torch.cat([part for _, part in unfinished], dim=1) if unfinished else y
    return x, done, [op._replace(stages=op.stages[1:]) for op, _ in unfinished]


def _conv(x: Tensor, stages: Sequence[ConvStage], groups: int) -> Tensor:
    """Return the outputs of convolutions of equal dilation and stride, concatenated along the channels."""
    side = max(stage.kernel.shape[-1] for stage in stages)
    by_kind = itertools.groupby(stages, key=lambda stage: stage.kind)
    kernels = torch.cat([F.pad(_kernel(list(group)), [(side - size) // 2] * 4) for (size, _), group in by_kind])
    if not x.is_cuda:  # see ``fused_forward``; slices of a batch norm's output have another layout
        x = x.contiguous(memory_format=torch.channels_last)
    dilation = stages[0].dilation
    return F.conv2d(x, kernels, None, stages[0].stride, dilation * (side // 2), dilation, groups)


def _norm(y: Tensor, ops: Sequence[PendingOp]) -> Tensor:
    """Apply the batch norms of the first stages, scaled by the weight of the edge if the op ends there."""
    norms = [op.stages[0].norm for op in ops]
    scale, shift = torch.cat([norm.weight for norm in norms]), torch.cat([norm.bias for norm in norms])
    shares = [1.0 if len(op.stages) > 1 else op.share for op in ops for _ in range(y.shape[1] // len(ops))]
    factor = device_tensor(shares, y.device, y.dtype)
    return F.batch_norm(y, None, None, factor * scale, factor * shift, training=True, eps=norms[0].eps)


def _kernel(stages: Sequence[ConvStage]) -> Tensor:
    """Return the kernels of stages of one kind. A depthwise and a pointwise convolution multiply to one kernel."""
    kernels = torch.cat([stage.kernel for stage in stages])
    pointwise = [stage.pointwise for stage in stages if stage.pointwise is not None]
    if not pointwise:
        return kernels
    return (torch.stack(pointwise) * kernels.view(len(stages), 1, -1, *kernels.shape[2:])).flatten(0, 1)


def _stages(op: nn.Module) -> list[ConvStage]:
    if isinstance(op, FactorizedReduce):
        return [_reduce(op)]
    if isinstance(op, ReluConvNorm):
        relu, conv, norm = op.op
        assert isinstance(relu, nn.ReLU) and isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        return [ConvStage(relu, conv.weight, None, 1, conv.stride[0], norm)]
    assert isinstance(op, SeparableConv | DilatedConv)
    parts = list(op.op)
    return [_depthwise(parts[i : i + 4]) for i in range(0, len(parts), 4)]


def _depthwise(parts: Sequence[nn.Module]) -> ConvStage:
    relu, depthwise, pointwise, norm = parts
    assert isinstance(relu, nn.ReLU) and isinstance(norm, nn.BatchNorm2d)
    assert isinstance(depthwise, nn.Conv2d) and isinstance(pointwise, nn.Conv2d)
    return ConvStage(relu, depthwise.weight, pointwise.weight, depthwise.dilation[0], depthwise.stride[0], norm)


def _reduce(op: FactorizedReduce) -> ConvStage:
    """Combine both 1x1 convolutions into a 3x3 kernel with stride 2: one at its center, one at its last corner."""
    first, second = F.pad(op.conv_1.weight, [1, 1, 1, 1]), F.pad(op.conv_2.weight, [2, 0, 2, 0])
    return ConvStage(op.relu, torch.cat([first, second]), None, 1, 2, op.bn)
