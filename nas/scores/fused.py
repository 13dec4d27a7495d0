"""A supernet of stacked cells evaluated node by node: what leaves a node is one convolution and one batch norm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.graph import CellGraph
from nas.ops import Pool, ReluConvNorm
from nas.spaces.nas_bench_201 import StackedCells

Rows = Sequence[Sequence[bool]]


def fusible(network: nn.Module) -> bool:
    """Whether ``fused`` computes what a network computes: NAS-Bench-201's ops, convolutions without bias."""
    if not isinstance(network, StackedCells):
        return False
    graphs = [cell for cell in network.cells if isinstance(cell, CellGraph)]
    ops = [op for graph in graphs for edge in graph.edges.values() for op in edge.values()]  # type: ignore[operator]
    return all(isinstance(op, ReluConvNorm | nn.Identity | Pool) and _plain(op) for op in ops)


def fused(network: StackedCells, x: Tensor, alive: Mapping[str, Rows]) -> Tensor:
    """The logits under equal weights of the ops in ``alive``, in training mode, up to rounding.

    Convolutions of a few channels cost as much as those of many: all that read one node are one convolution (a 1x1
    kernel is a 3x3 kernel with a border of zeros), their batch norms are one, and the weight of an edge is a factor of
    its scale and shift. Statistics are not tracked.
    """
    x = network.stem(x)
    for cell in network.cells:
        x = _cell(cell, x, alive["cell"]) if isinstance(cell, CellGraph) else cell(x)
    logits: Tensor = network.classifier(network.lastact(x).mean(dim=(2, 3)))
    return logits


def _plain(op: nn.Module) -> bool:
    return not isinstance(op, ReluConvNorm) or _parts(op)[0].bias is None


def _parts(op: ReluConvNorm) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    _, conv, norm = op.op
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    return conv, norm


def _cell(graph: CellGraph, x: Tensor, alive: Rows) -> Tensor:
    found: dict[int, Tensor] = {0: x}
    for source in range(len(graph.cell.nodes)):
        edges = [e for e, (start, _) in enumerate(graph.cell.edges) if start == source]
        found.setdefault(source, torch.zeros_like(x))  # where nothing arrives
        _leave(graph, source, edges, found, alive)
    last = graph.cell.output[0]
    return found[last] if last in found else torch.zeros_like(x)


def _leave(graph: CellGraph, source: int, edges: Sequence[int], found: dict[int, Tensor], alive: Rows) -> None:
    """Adds what the edges from ``source`` carry to the nodes they lead to."""
    x, ops = found[source], graph.cell.ops
    convs: list[tuple[int, float, ReluConvNorm]] = []
    pooled: Tensor | None = None
    for e in edges:
        target, share = graph.cell.edges[e][1], 1 / max(sum(alive[e]), 1)
        edge = graph.edges[graph.keys[e]]
        for name, on in zip(ops, alive[e], strict=True):
            if not on or name not in edge:  # type: ignore[operator]
                continue
            op = edge[name]  # type: ignore[index]
            if isinstance(op, ReluConvNorm):
                convs.append((target, share, op))
                continue
            if isinstance(op, Pool):
                pooled = op.pool(x) if pooled is None else pooled
            term = share * (pooled if isinstance(op, Pool) and pooled is not None else x)
            found[target] = found[target] + term if target in found else term
    for target, term in _convolved(x, convs):
        found[target] = found[target] + term if target in found else term


def _convolved(x: Tensor, convs: Sequence[tuple[int, float, ReluConvNorm]]) -> list[tuple[int, Tensor]]:
    """Relu, convolution and batch norm of all ``convs`` (target, weight, op) at once."""
    if not convs:
        return []
    parts = [(share, *_parts(op)) for _, share, op in convs]
    side = max(conv.kernel_size[0] for _, conv, _ in parts)
    kernels = [F.pad(conv.weight, [(side - conv.kernel_size[0]) // 2] * 4) for _, conv, _ in parts]
    scale = torch.cat([share * norm.weight for share, _, norm in parts])
    shift = torch.cat([share * norm.bias for share, _, norm in parts])
    y = F.conv2d(F.relu(x), torch.cat(kernels), padding=side // 2)
    y = F.batch_norm(y, None, None, scale, shift, training=True, eps=parts[0][2].eps)
    return [(target, part) for (target, _, _), part in zip(convs, y.split(x.shape[1], dim=1), strict=True)]
