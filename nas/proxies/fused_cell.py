"""A cell under equal weights, source by source: convolutions of one tensor at once, and so their batch norms."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.nn.cell_graph import CellGraph
from nas.nn.ops import DilatedConv, FactorizedReduce, Pool, ReluConvNorm, SeparableConv, strided

Rows = Sequence[Sequence[bool]]


class Stage(NamedTuple):
    """ReLU, a convolution and batch norm: an op, or half of one.

    The convolution has ``kernel`` [out, in, k, k], or a depthwise ``kernel`` [in, 1, k, k] with ``pointwise``
    [out, in, 1, 1] behind it.
    """

    relu: nn.ReLU
    kernel: Tensor
    pointwise: Tensor | None
    dilation: int
    stride: int
    norm: nn.BatchNorm2d

    @property
    def kind(self) -> tuple[int, bool]:
        """The side of the kernel, and whether it is depthwise."""
        return self.kernel.shape[-1], self.pointwise is not None

    @property
    def inputs(self) -> int:
        return (self.kernel if self.pointwise is None else self.pointwise).shape[1]


class Term(NamedTuple):
    """An op on its way to node ``target``: its weight there, and the stages that are left of it."""

    target: int
    share: float
    stages: list[Stage]


Carried = tuple[int, float, Tensor]
"""What an edge adds to a node: the node, a weight, and the features."""


def known(op: nn.Module) -> bool:
    """Whether ``nodes`` can compute an op."""
    if not isinstance(op, nn.Identity | Pool | ReluConvNorm | SeparableConv | DilatedConv | FactorizedReduce):
        return False
    biased = (isinstance(m, nn.Conv2d) and m.bias is not None for m in op.modules())
    bare = (isinstance(m, nn.BatchNorm2d) and not m.affine for m in op.modules())
    return not any(biased) and not any(bare)


def nodes(graph: CellGraph, inputs: Sequence[Tensor], alive: Rows) -> dict[int, Tensor]:
    """The features of every node where each edge is the mean of the ops in ``alive``; no running statistics.

    Convolutions of a few channels cost as much as those of many: all that read one node are one convolution for each
    dilation (a small kernel is a large one with a border of zeros), and their batch norms are one.
    """
    found = dict(enumerate(inputs))
    for source in range(len(inputs) + len(graph.cell.nodes)):
        if source not in found:
            found[source] = _nothing(graph, source, found)
        edges = [e for e, (start, _) in enumerate(graph.cell.edges) if start == source]
        for target, share, part in _leave(graph, edges, found[source], alive):
            if target in found:
                found[target] = torch.add(found[target], part, alpha=share)
            else:
                found[target] = part if share == 1 else share * part
    return found


def _nothing(graph: CellGraph, node: int, found: dict[int, Tensor]) -> Tensor:
    e = graph.cell.into(node)[0]
    stride = graph.edges[graph.keys[e]].stride
    assert isinstance(stride, int)
    return torch.zeros_like(strided(found[graph.cell.edges[e][0]], stride))


def _leave(graph: CellGraph, edges: Sequence[int], x: Tensor, alive: Rows) -> list[Carried]:
    """What ``edges``, which all leave ``x``, carry to the nodes they lead to."""
    terms: list[Term] = []
    carried: list[Carried] = []
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
                carried.append((target, share, pooled[op.kind]))
            elif isinstance(op, nn.Identity):
                carried.append((target, share, x))
            else:
                terms.append(Term(target, share, _stages(op)))
    while terms:
        x, done, terms = _stage(x, terms)
        carried += done
    return carried


def _stage(x: Tensor, terms: Sequence[Term]) -> tuple[Tensor, list[Carried], list[Term]]:
    """The first stages of ``terms`` at once: features for those that go on, what is done, and those that go on.

    ``x`` is what all of them read, or has their channels side by side.
    """
    apart = x.shape[1] // terms[0].stages[0].inputs
    groups: dict[int, list[Term]] = {}
    for term in sorted(terms, key=lambda term: term.stages[0].kind) if apart == 1 else ():
        groups.setdefault(term.stages[0].dilation, []).append(term)
    order = [term for group in groups.values() for term in group] or list(terms)
    x = order[0].stages[0].relu(x)
    made = [_conv(x, [term.stages[0] for term in group], apart) for group in groups.values() or [order]]
    y = _norm(torch.cat(made, dim=1), order)
    parts = list(zip(order, y.split(y.shape[1] // len(order), dim=1), strict=True))
    done = [(term.target, 1.0, part) for term, part in parts if len(term.stages) == 1]
    more = [(term, part) for term, part in parts if len(term.stages) > 1]
    x = torch.cat([part for _, part in more], dim=1) if more else y
    return x, done, [term._replace(stages=term.stages[1:]) for term, _ in more]


def _conv(x: Tensor, parts: Sequence[Stage], groups: int) -> Tensor:
    """The convolutions of ``parts``, of one dilation and stride, side by side."""
    side = max(part.kernel.shape[-1] for part in parts)
    alike = itertools.groupby(parts, key=lambda part: part.kind)
    kernels = torch.cat([F.pad(_kernel(list(some)), [(side - size) // 2] * 4) for (size, _), some in alike])
    if not x.is_cuda:  # see ``fused``; the parts of a batch norm have another layout
        x = x.contiguous(memory_format=torch.channels_last)
    dilation = parts[0].dilation
    return F.conv2d(x, kernels, None, parts[0].stride, dilation * (side // 2), dilation, groups)


def _norm(y: Tensor, terms: Sequence[Term]) -> Tensor:
    """The batch norms of the first stages; where nothing follows, the weight of the edge is a factor of theirs."""
    norms = [term.stages[0].norm for term in terms]
    scale, shift = torch.cat([norm.weight for norm in norms]), torch.cat([norm.bias for norm in norms])
    shares = [1.0 if len(term.stages) > 1 else term.share for term in terms for _ in range(y.shape[1] // len(terms))]
    factor = torch.tensor(shares, dtype=y.dtype).to(y.device, non_blocking=True)
    return F.batch_norm(y, None, None, factor * scale, factor * shift, training=True, eps=norms[0].eps)


def _kernel(parts: Sequence[Stage]) -> Tensor:
    """The kernels of like stages; nothing stands between a depthwise and a pointwise convolution: their product."""
    kernels = torch.cat([part.kernel for part in parts])
    points = [part.pointwise for part in parts if part.pointwise is not None]
    if not points:
        return kernels
    return (torch.stack(points) * kernels.view(len(parts), 1, -1, *kernels.shape[2:])).flatten(0, 1)


def _stages(op: nn.Module) -> list[Stage]:
    if isinstance(op, FactorizedReduce):
        return [_reduce(op)]
    if isinstance(op, ReluConvNorm):
        relu, conv, norm = op.op
        assert isinstance(relu, nn.ReLU) and isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        return [Stage(relu, conv.weight, None, 1, conv.stride[0], norm)]
    assert isinstance(op, SeparableConv | DilatedConv)
    parts = list(op.op)
    return [_depthwise(parts[i : i + 4]) for i in range(0, len(parts), 4)]


def _depthwise(parts: Sequence[nn.Module]) -> Stage:
    relu, depthwise, pointwise, norm = parts
    assert isinstance(relu, nn.ReLU) and isinstance(norm, nn.BatchNorm2d)
    assert isinstance(depthwise, nn.Conv2d) and isinstance(pointwise, nn.Conv2d)
    return Stage(relu, depthwise.weight, pointwise.weight, depthwise.dilation[0], depthwise.stride[0], norm)


def _reduce(op: FactorizedReduce) -> Stage:
    """The pixels at even places are the middle of a 3x3 kernel with stride 2, those at odd places its last corner."""
    first, second = F.pad(op.conv_1.weight, [1, 1, 1, 1]), F.pad(op.conv_2.weight, [2, 0, 2, 0])
    return Stage(op.relu, torch.cat([first, second]), None, 1, 2, op.bn)
