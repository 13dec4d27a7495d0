"""The fixed skeleton of NATS-Bench's size space: its cell, its reductions and the convolutions of each block.

The blocks are the stem (block 0) and the five layers (blocks 1 to 5).
"""

from __future__ import annotations

from typing import NamedTuple

from nas.spaces.base import Shape
from nas.spaces.nas_bench_201.notation import EDGES as CELL_EDGES

CELL_OPS = tuple((edge, "skip_connect" if edge == (0, 3) else "nor_conv_3x3") for edge in CELL_EDGES)
"""The (edge, op) pairs of the cell: architecture 9930 of NAS-Bench-201, the best in CIFAR-100 validation accuracy."""
WIDTH_OF_BLOCK = (0, 0, 1, 2, 3, 4)
"""For each block, the index of its width among the five widths. The stem and the first layer share a width."""
REDUCTION_BLOCKS = (2, 4)
"""The blocks that halve the resolution."""


class ConvShape(NamedTuple):
    """Size of a convolution without bias.

    ``pixels`` counts the pixels of the output. ``norm`` is whether a batch norm follows.
    """

    kernel: int
    inputs: int
    outputs: int
    pixels: int
    stride: int = 1
    norm: bool = True

    @property
    def weights(self) -> int:
        """Number of weights."""
        return self.kernel**2 * self.inputs * self.outputs


def convolutions(block: int, inputs: int, outputs: int, shape: Shape) -> list[ConvShape]:
    """List the convolutions of a block from ``inputs`` to ``outputs`` channels for images of ``shape`` (C, H, W)."""
    _, height, width = shape
    for _ in range(sum(reduction <= block for reduction in REDUCTION_BLOCKS)):
        height, width = (height + 1) // 2, (width + 1) // 2
    pixels = height * width
    if block == 0:
        return [ConvShape(3, inputs, outputs, pixels)]
    if block in REDUCTION_BLOCKS:
        first, shortcut = ConvShape(3, inputs, outputs, pixels, 2), ConvShape(1, inputs, outputs, pixels, norm=False)
        return [first, ConvShape(3, outputs, outputs, pixels), shortcut]
    convs = [
        ConvShape(3, outputs if source else inputs, outputs, pixels) for (source, _), op in CELL_OPS if "conv" in op
    ]
    return convs if inputs == outputs else [*convs, ConvShape(1, inputs, outputs, pixels)]
