"""Networks of NATS-Bench's size space: a chain of five layers with a fixed cell and searched widths."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, EdgeWeights
from nas.nn.drop_path import DropPath
from nas.nn.ops import OpOptions, ReluConvNorm
from nas.spaces.base import Network, Output, Shape
from nas.spaces.nas_bench_201.network import Reduction
from nas.spaces.nats_size.skeleton import CELL_OPS, REDUCTION_BLOCKS


class SizedCell(nn.Module):
    """The fixed cell from ``inputs`` to ``outputs`` channels, [B, inputs, H, W] -> [B, outputs, H, W].

    Edges that leave the input change the number of channels. If it changes, the skip is a 1x1 convolution with batch
    norm and without ReLU. Drop path exempts an identity skip, as in other cells.
    """

    def __init__(self, inputs: int, outputs: int, options: OpOptions) -> None:
        super().__init__()
        self.edges = nn.ModuleDict()
        self.drop_path = DropPath()
        for (source, target), op in CELL_OPS:
            width = outputs if source else inputs
            if op == "nor_conv_3x3":
                edge: nn.Module = ReluConvNorm(width, outputs, 3, 1, options)
            elif width == outputs:
                edge = nn.Identity()
            else:
                conv = nn.Conv2d(width, outputs, 1, bias=options.bias)
                edge = nn.Sequential(conv, options.norm(outputs))
            self.edges[f"{source}_{target}"] = edge

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for node in (1, 2, 3):
            terms = []
            for source in range(node):
                edge = self.edges[f"{source}_{node}"]
                out = edge(features[source])
                terms.append(out if isinstance(edge, nn.Identity) else self.drop_path(out))
            features.append(torch.stack(terms).sum(dim=0) if len(terms) > 2 else sum(terms[1:], terms[0]))
        return features[3]


class SizedNetwork(Network):
    """Stem, cell, reduction, cell, reduction, cell, pooling and classifier.

    Args:
        widths: output channels of the five layers; the stem is as wide as the first layer.
        options: of the ops in the cells. The reductions always have affine batch norm.
        ends: of the batch norms in the stem and before the pooling.
        shape: (C, H, W) of an image.
        classes: number of classes.
    """

    def __init__(self, widths: Sequence[int], options: OpOptions, ends: OpOptions, shape: Shape, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(shape[0], widths[0], 3, padding=1, bias=ends.bias), ends.norm(widths[0]))
        self.cells = nn.ModuleList()
        for block, (inputs, outputs) in enumerate(pairwise([widths[0], *widths]), 1):
            if block in REDUCTION_BLOCKS:
                self.cells.append(Reduction(inputs, outputs))
            else:
                self.cells.append(SizedCell(inputs, outputs, options))
        self.lastact = nn.Sequential(ends.norm(widths[-1]), nn.ReLU())
        self.classifier = nn.Linear(widths[-1], classes)

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        for block, module in enumerate((self.stem, *self.cells)):
            x = self.apply_width(module(x), block, None if arch is None else arch["cell"])
        features = self.lastact(x).mean(dim=(2, 3))
        return Output(self.classifier(features), features)

    def apply_width(self, x: Tensor, block: int, weights: EdgeWeights | None) -> Tensor:
        """Return the output [B, C, H, W] of a block at the widths that ``weights`` mix; here, unchanged."""
        return x
