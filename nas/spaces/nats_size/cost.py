"""Closed-form parameters and multiply-adds (MACs) of the networks of NATS-Bench's size space."""

from __future__ import annotations

from nas.architecture.cell import Genotype
from nas.spaces.base import Shape
from nas.spaces.nats_size.notation import widths_of
from nas.spaces.nats_size.skeleton import convolutions


def nats_size_cost(genotype: Genotype, shape: Shape, classes: int) -> tuple[int, int]:
    """Return the parameters and multiply-adds of an architecture's network without building it.

    Multiply-adds follow the benchmark: convolutions, and the linear layer with its bias.
    """
    widths = widths_of(genotype)
    convs = [
        conv
        for block, pair in enumerate(zip((shape[0], widths[0], *widths), (widths[0], *widths), strict=False))
        for conv in convolutions(block, *pair, shape)
    ]
    linear = (widths[-1] + 1) * classes
    parameters = sum(conv.weights + 2 * conv.outputs * conv.norm for conv in convs) + 2 * widths[-1] + linear
    return parameters, sum(conv.weights * conv.pixels for conv in convs) + linear
