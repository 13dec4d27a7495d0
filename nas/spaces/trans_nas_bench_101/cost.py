"""Costs of the encoders of TransNAS-Bench-101: networks without the decoder of a task."""

from __future__ import annotations

import torch
from torch import nn

from nas.architecture.cell import Genotype
from nas.nn.macs import count_operations, count_parameters
from nas.spaces.trans_nas_bench_101.macro import TransNasBench101Macro
from nas.spaces.trans_nas_bench_101.micro import TransNasBench101Micro


def encoder_cost(genotype: Genotype, side: int) -> tuple[int, int]:
    """Return parameters and multiply-adds of an encoder for one image of ``side`` x ``side`` pixels.

    Raises NasError if the genotype is of neither space.
    """
    kind = TransNasBench101Macro if genotype.space == TransNasBench101Macro.notation else TransNasBench101Micro
    shape = (3, side, side)
    with torch.device("meta"):
        network = kind(shape, 1).network(genotype)
        network.classifier = nn.Identity()
    return count_parameters(network), count_operations(network, shape, "macs")
