"""Closed-form parameters and multiply-adds (MACs) of NAS-Bench-201 networks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from nas.architecture.cell import Genotype
from nas.spaces.base import Shape


def nas_bench_201_cost(
    genotype: Genotype, shape: Shape, classes: int, channels: int = 16, cells_per_stage: int = 5
) -> tuple[int, int]:
    """Return the parameters and multiply-adds of an architecture's network without building it.

    Multiply-adds follow AutoDL-Projects, the source of the benchmark's numbers: convolutions, and the linear layer with
    its bias. An edge counts even if its output does not reach the end of the cell.

    Args:
        genotype: the architecture.
        shape: (C, H, W) of an image.
        classes: number of classes.
        channels: width of the first stage.
        cells_per_stage: cells in each of the three stages.
    """
    skeleton, edges = _cost_table(tuple(shape), classes, channels, cells_per_stage)
    return _sum([skeleton, *(edges[link.op] for link in genotype.cells["cell"].links if link.op in edges)])


@lru_cache
def _cost_table(
    shape: Shape, classes: int, channels: int, cells_per_stage: int
) -> tuple[tuple[int, int], dict[str, tuple[int, int]]]:
    """Return (parameters, multiply-adds) of the shared skeleton, and of one edge with each op summed over all cells."""
    inputs, height, width = shape
    skeleton = [_conv_cost(3, inputs, channels, height * width)]
    edges: dict[int, list[tuple[int, int]]] = {1: [], 3: []}
    for stage, planes in enumerate((channels, 2 * channels, 4 * channels)):
        if stage:
            height, width = (height + 1) // 2, (width + 1) // 2
            skeleton += [_conv_cost(3, n, planes, height * width) for n in (planes // 2, planes)]
            p, m = _conv_cost(1, planes // 2, planes, height * width)
            skeleton += [(p - 2 * planes, m)]  # the shortcut's convolution has no batch norm
        for kernel, costs in edges.items():
            costs += [_conv_cost(kernel, planes, planes, height * width)] * cells_per_stage
    linear = (4 * channels + 1) * classes
    skeleton += [(2 * 4 * channels, 0), (linear, linear)]
    return _sum(skeleton), {f"nor_conv_{kernel}x{kernel}": _sum(costs) for kernel, costs in edges.items()}


def _conv_cost(kernel: int, inputs: int, outputs: int, pixels: int) -> tuple[int, int]:
    """Return the cost of a bias-free convolution with ``pixels`` output pixels, followed by batch norm."""
    weights = kernel**2 * inputs * outputs
    return weights + 2 * outputs, weights * pixels


def _sum(costs: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(p for p, _ in costs), sum(m for _, m in costs)
