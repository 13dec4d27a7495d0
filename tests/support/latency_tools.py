"""Latency tables of known values on a small NAS-Bench-201 network."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from nas.architecture.cell import Genotype
from nas.latency.count import PartCounter
from nas.latency.measure import sample_genotypes
from nas.latency.parts import PartKey
from nas.latency.table import LatencySetup, LatencyTable
from nas.latency.timing import Timing
from nas.spaces.nas_bench_201.space import NasBench201

SPACE = NasBench201((3, 8, 8), 4)
OPTIONS = {"channels": 4, "cells_per_stage": 1}
SHAPES = ((4, 8, 8), (8, 4, 4), (16, 2, 2))
OPS = ("nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3", "skip_connect", "add")
_RNG = random.Random(5)
SINGLE = {PartKey(op, shape, shape): _RNG.uniform(0.5, 2.0) for op in OPS for shape in SHAPES}
"""Latency of each op in milliseconds."""
_COUNT = PartCounter(SPACE, OPTIONS)


def op_counts_of(genotype: Genotype) -> Counter[PartKey]:
    """Return the number of parts of a genotype."""
    return _COUNT(genotype)


def timing(ms: float) -> Timing:
    """Return a timing with an interval of 10 % around a median."""
    return Timing(ms, 0.9 * ms, 1.1 * ms)


def make_table(
    networks: int, latency: Callable[[Counter[PartKey]], float], setup: LatencySetup | None = None
) -> LatencyTable:
    """Return a table whose ops take ``SINGLE``, and whose networks take a function of their counts."""
    genotypes = sample_genotypes(SPACE, networks, seed=0) if networks else []
    return LatencyTable(
        *(SPACE.notation, SPACE.shape, SPACE.classes, OPTIONS, setup or LatencySetup()),
        {key: timing(ms) for key, ms in SINGLE.items()},
        {genotype: timing(latency(op_counts_of(genotype))) for genotype in genotypes},
        machine={"device": "test"},
        date="2026-01-31",
    )
