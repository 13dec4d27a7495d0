"""The networks of NATS-Bench's size space: a chain whose cell is fixed and whose widths are searched."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture.cell import Architecture, EdgeWeights
from nas.nn.drop_path import DropPath
from nas.nn.ops import OpOptions, ReluConvNorm
from nas.spaces.base import Network, Output, Shape
from nas.spaces.nas_bench_201.space import EDGES, Reduction

Mix = Literal["mask", "interpolate"]
LINKS = tuple((edge, "skip_connect" if edge == (0, 3) else "nor_conv_3x3") for edge in EDGES)
"""The cell of all networks: architecture 9930 of NAS-Bench-201, the best on CIFAR-100's validation images."""
ROWS = (0, 0, 1, 2, 3, 4)
"""For each block, the stem and the five layers, the place of its width among the five."""
REDUCTIONS = (2, 4)
"""The blocks that halve the resolution."""


class Conv(NamedTuple):
    """A convolution without bias, with ``pixels`` in its output; ``norm`` says whether batch norm follows."""

    kernel: int
    inputs: int
    outputs: int
    pixels: int
    stride: int = 1
    norm: bool = True

    @property
    def weights(self) -> int:
        return self.kernel**2 * self.inputs * self.outputs


def convolutions(block: int, inputs: int, outputs: int, shape: Shape) -> list[Conv]:
    """The convolutions of a block from ``inputs`` to ``outputs`` channels; images are of ``shape`` (C, H, W)."""
    _, height, width = shape
    for _ in range(sum(reduction <= block for reduction in REDUCTIONS)):
        height, width = (height + 1) // 2, (width + 1) // 2
    pixels = height * width
    if block == 0:
        return [Conv(3, inputs, outputs, pixels)]
    if block in REDUCTIONS:
        first, shortcut = Conv(3, inputs, outputs, pixels, 2), Conv(1, inputs, outputs, pixels, norm=False)
        return [first, Conv(3, outputs, outputs, pixels), shortcut]
    found = [Conv(3, outputs if source else inputs, outputs, pixels) for (source, _), op in LINKS if "conv" in op]
    return found if inputs == outputs else [*found, Conv(1, inputs, outputs, pixels)]


class SizedCell(nn.Module):
    """The cell from ``inputs`` to ``outputs`` channels, [B, inputs, H, W] -> [B, outputs, H, W].

    Edges that leave the input change the number of channels; where it changes, the skip is a 1x1 convolution with
    batch norm and without ReLU. ``drop_path`` leaves out the plain skip, as in other cells.
    """

    def __init__(self, inputs: int, outputs: int, options: OpOptions) -> None:
        super().__init__()
        self.edges = nn.ModuleDict()
        self.drop_path = DropPath()
        for (source, target), op in LINKS:
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
        found = [x]
        for node in (1, 2, 3):
            terms = []
            for source in range(node):
                edge = self.edges[f"{source}_{node}"]
                out = edge(found[source])
                terms.append(out if isinstance(edge, nn.Identity) else self.drop_path(out))
            found.append(torch.stack(terms).sum(dim=0) if len(terms) > 2 else sum(terms[1:], terms[0]))
        return found[3]


class Chain(Network):
    """Stem, cell, reduction, cell, reduction, cell: ``widths`` has the output channels of the five layers.

    The stem is as wide as the first layer. The reductions always have affine batch norm; ``stem`` and ``head`` set
    that of the stem and the one in front of the pooling.
    """

    def __init__(self, widths: Sequence[int], options: OpOptions, ends: OpOptions, shape: Shape, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(shape[0], widths[0], 3, padding=1, bias=ends.bias), ends.norm(widths[0]))
        self.cells = nn.ModuleList()
        for block, (inputs, outputs) in enumerate(pairwise([widths[0], *widths]), 1):
            cell = Reduction(inputs, outputs) if block in REDUCTIONS else SizedCell(inputs, outputs, options)
            self.cells.append(cell)
        self.lastact = nn.Sequential(ends.norm(widths[-1]), nn.ReLU())
        self.classifier = nn.Linear(widths[-1], classes)

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        for block, module in enumerate((self.stem, *self.cells)):
            x = self.select(module(x), block, None if arch is None else arch["cell"])
        features = self.lastact(x).mean(dim=(2, 3))
        return Output(self.classifier(features), features)

    def select(self, x: Tensor, block: int, weights: EdgeWeights | None) -> Tensor:
        """What a block hands on of its features [B, C, H, W]: in a network of one genotype all of them."""
        return x


class SizedSupernet(Chain):
    """The chain at the maximal width; what a block hands on is reduced to the candidate widths by their weights.

    "mask": the features are multiplied by the weighted sum of the prefix masks, a mask having ones in its width's
    first channels (FBNetV2, Wan et al., CVPR 2020). All weights take part, those of a straight-through draw that are
    numerically zero too, so that it has its whole gradient. "interpolate": the first channels of each active width
    are resized to the widest active one by average pooling over channels, and mixed (TAS, Dong and Yang, NeurIPS
    2019). Architectures hold one row a width, which stem and first cell share, or one row a block.
    """

    prefixes: Tensor

    def __init__(
        self,
        widths: Sequence[int],
        mix: Mix,
        options: OpOptions,
        shape: Shape,
        classes: int,
    ) -> None:
        super().__init__([max(widths)] * 5, options, options, shape, classes)
        self.widths = tuple(widths)
        self.mix = mix
        self.image = shape
        masks = torch.arange(max(widths)) < torch.tensor(self.widths)[:, None]
        self.register_buffer("prefixes", masks.float(), persistent=False)

    def select(self, x: Tensor, block: int, weights: EdgeWeights | None) -> Tensor:
        if weights is None:
            return x
        row = block if len(weights.active) == len(ROWS) else ROWS[block]
        if self.mix == "mask":
            mask = (weights.op[row, :, None] * self.prefixes).sum(dim=0)
            return x * mask.to(x.dtype)[:, None, None]
        return self._interpolate(x, weights.op[row].to(x.dtype), weights.active[row])

    def _interpolate(self, x: Tensor, op: Tensor, active: Sequence[bool]) -> Tensor:
        columns = [column for column, on in enumerate(active) if on]
        widest = max((self.widths[column] for column in columns), default=0)
        size = (widest, *x.shape[2:])
        # a batch of features is to this pooling what a batch of volumes is: channels are the depth that it resizes
        terms = [F.adaptive_avg_pool3d(x[:, : self.widths[column]], size) * op[column] for column in columns]
        mixed = torch.stack(terms).sum(dim=0) if terms else x[:, :0]
        return F.pad(mixed, (0, 0, 0, 0, 0, x.shape[1] - widest))

    def op_costs(self) -> Tensor:
        """Parameters, multiply-adds and memory access of each width, [3, 1, 5, widths], by the rules of SNAS.

        A width costs what its blocks cost that follow the widest layer: the costs of neighbors depend on each other,
        and a sum over rows cannot tell.
        """
        table = torch.zeros(3, 1, 5, len(self.widths))
        for block, row in enumerate(ROWS):
            for column, width in enumerate(self.widths):
                inputs = self.image[0] if block == 0 else width if block == 1 else max(self.widths)
                for conv in convolutions(block, inputs, width, self.image):
                    values = conv.pixels * conv.outputs
                    access = conv.pixels * conv.stride**2 * conv.inputs + values + conv.weights
                    costs = (conv.weights, conv.weights * conv.pixels, access)
                    table[:, 0, row, column] += torch.tensor(costs, dtype=table.dtype)
        return table
