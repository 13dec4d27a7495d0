"""Networks of NAS-Bench-101: three stacks of equal cells (Ying et al., ICML 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.nn.pooling import GlobalPool
from nas.spaces.base import Network, Output, Shape
from nas.spaces.nas_bench_101.graph import OPS, Graph, prune, vertex_channels

STACKS = 3
NORM_MOMENTUM = 0.003
"""Weight of a batch in the running statistics."""


def conv_norm_relu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Build a convolution with batch norm and ReLU: [B, inputs, H, W] -> [B, outputs, H, W]."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs, momentum=NORM_MOMENTUM), nn.ReLU())


def _build_op(name: str, channels: int) -> nn.Module:
    if name == OPS[2]:
        return nn.MaxPool2d(3, stride=1, padding=1)
    return conv_norm_relu(channels, channels, 3 if name == OPS[0] else 1)


class GraphCell(nn.Module):
    """Cell of a pruned graph: [B, inputs, H, W] -> [B, outputs, H, W].

    A vertex adds its inputs. Edges from the input of the cell are 1x1 convolutions; other tensors lose their last
    channel where a vertex has one channel fewer. The vertices that feed the output are concatenated, and an edge from
    the input to the output is added.
    """

    def __init__(self, graph: Graph, inputs: int, outputs: int) -> None:
        super().__init__()
        self.matrix = graph.matrix
        self.channels = vertex_channels(inputs, outputs, graph.matrix)
        last = len(graph.ops) - 1
        self.ops = nn.ModuleList(_build_op(graph.ops[v], self.channels[v]) for v in range(1, last))
        self.projections = nn.ModuleDict(
            {str(v): conv_norm_relu(inputs, self.channels[v], 1) for v in range(1, last + 1) if graph.matrix[0][v]}
        )

    def forward(self, x: Tensor) -> Tensor:
        last, tensors = len(self.matrix) - 1, [x]
        projected = {int(vertex): projection(x) for vertex, projection in self.projections.items()}
        for vertex, op in enumerate(self.ops, 1):
            added = [tensors[s][:, : self.channels[vertex]] for s in range(1, vertex) if self.matrix[s][vertex]]
            if vertex in projected:
                added.append(projected[vertex])
            tensors.append(op(added[0] if len(added) == 1 else torch.stack(added).sum(0)))
        feeding = [tensors[v] for v in range(1, last) if self.matrix[v][last]]
        if not feeding:
            return projected[last]
        output = torch.cat(feeding, dim=1)
        return output + projected[last] if last in projected else output


class NasBench101Network(Network):
    """Convolution stem and three stacks of cells; max pooling halves the resolution and channels double between stacks.

    Args:
        graph: cell, whose input and output are connected. Vertices that are not between them are left out.
        channels: width of the stem and of the first stack.
        per_stack: cells per stack.
        shape: (C, H, W) of an image.
        classes: number of classes.
    """

    def __init__(self, graph: Graph, channels: int, per_stack: int, shape: Shape, classes: int) -> None:
        super().__init__()
        pruned = prune(graph)
        assert pruned is not None, "the input and output are connected"
        self.stem = conv_norm_relu(shape[0], channels, 3)
        self.stacks = nn.ModuleList()
        width = channels
        for stack in range(STACKS):
            outputs = channels * 2**stack
            cells = [GraphCell(pruned, width if cell == 0 else outputs, outputs) for cell in range(per_stack)]
            pool = [nn.MaxPool2d(2, stride=2, ceil_mode=True)] if stack else []
            self.stacks.append(nn.Sequential(*pool, *cells))
            width = outputs
        self.pool = GlobalPool()
        self.classifier = nn.Linear(width, classes)

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        x = self.stem(x)
        for stack in self.stacks:
            x = stack(x)
        features = self.pool(x)
        return Output(self.classifier(features), features)
