"""Feature vectors of genotypes for the surrogate models of NAS-Bench-301 (Zela et al., ICLR 2022).

The published models are trained on the vector of a ConfigSpace configuration: settings of the training, which are
constant here, and the architecture. Parameters without a condition come first, then the conditional edges, both sorted
by name. ConfigSpace scales numbers to the unit interval of their range.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from nas.architecture.cell import CellGenotype, Genotype, format_links
from nas.spaces.darts.notation import EDGES, NODES, NOTATION
from nas.utils.errors import NasError

OPS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""Ops in the order of the published space; an op is encoded as its position."""
CELLS = ("normal", "reduce")
INACTIVE = -1.0
"""Value of an edge that its node does not read."""
INPUTS = {node: tuple(combinations(range(node), 2)) for node in NODES[1:]}
"""Pairs of predecessors in the order of their codes; the first node always reads both inputs of the cell."""
_DARTS = "NetworkSelectorDatasetInfo:darts:"
_ANNEALING = "SimpleLearningrateSchedulerSelector:cosine_annealing:"
_ROOM = 0.49999
"""ConfigSpace widens the range of an integer by this much on both sides."""


def _unit(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low)


def _unit_int(value: int, low: int, high: int) -> float:
    return _unit(value, low - _ROOM, high + _ROOM)


def _unit_log(value: float, low: float, high: float) -> float:
    return _unit(math.log(value), math.log(low), math.log(high))


SETTINGS = {
    "CreateImageDataLoader:batch_size": _unit_log(96, 64 - _ROOM, 128 + _ROOM),
    "ImageAugmentation:augment": 0.0,
    "ImageAugmentation:autoaugment": 0.0,
    "ImageAugmentation:cutout": 0.0,
    "ImageAugmentation:cutout_holes": _unit_int(1, 1, 3),
    "ImageAugmentation:cutout_length": _unit_int(16, 1, 50),
    "ImageAugmentation:fastautoaugment": 0.0,
    "LossModuleSelectorIndices:loss_module": 0.0,
    f"{_DARTS}auxiliary": 0.0,
    f"{_DARTS}drop_path_prob": 0.0,
    f"{_DARTS}init_channels": _unit_int(32, 1, 10_000),
    f"{_DARTS}layers": _unit_int(8, 1, 10_000),
    "NetworkSelectorDatasetInfo:network": 0.0,
    "OptimizerSelector:optimizer": 0.0,
    "OptimizerSelector:sgd:learning_rate": math.log(0.025),
    "OptimizerSelector:sgd:momentum": _unit(0.9, 0.1, 0.99),
    "OptimizerSelector:sgd:weight_decay": math.log(3e-4),
    f"{_ANNEALING}T_max": _unit_int(100, 1, 10_000),
    f"{_ANNEALING}eta_min": _unit(1e-8, 0, 10_000),
    "SimpleLearningrateSchedulerSelector:lr_scheduler": 0.0,
    "SimpleTrainNode:batch_loss_computation_technique": 0.0,
    "SimpleTrainNode:mixup:alpha": _unit_log(0.2, 0.01, 0.7),
}
"""Encoded settings of the training of the benchmark; a categorical setting is the position of its choice."""


def _edge(cell: str, number: int) -> str:
    return f"{_DARTS}edge_{cell}_{number}"


def _inputs(cell: str, node: int) -> str:
    return f"{_DARTS}inputs_node_{cell}_{node}"


_ALWAYS_READ = range(len([target for _, target in EDGES if target == NODES[0]]))
NAMES: tuple[str, ...] = (
    *sorted(
        [
            *SETTINGS,
            *(_edge(cell, number) for cell in CELLS for number in _ALWAYS_READ),
            *(_inputs(cell, node) for cell in CELLS for node in INPUTS),
        ]
    ),
    *sorted(_edge(cell, number) for cell in CELLS for number in range(len(_ALWAYS_READ), len(EDGES))),
)
"""Names of the features, in the order of the vector."""
_POSITION = {name: position for position, name in enumerate(NAMES)}
_BASE = np.array([SETTINGS.get(name, INACTIVE) for name in NAMES])


def encode(genotype: Genotype) -> NDArray[np.float64]:
    """Return the feature vector [56] of a genotype.

    Raises:
        NasError: if NAS-Bench-301 does not contain the genotype: it has four nodes per cell, each with one of seven ops
            on two different edges, and all nodes in the output.
    """
    if genotype.space != NOTATION or set(genotype.cells) != set(CELLS):
        raise NasError(
            f"benchmark: a genotype of space '{genotype.space}' with cells {', '.join(genotype.cells)} is not in "
            f"NAS-Bench-301. Use one of space '{NOTATION}' with the cells {' and '.join(CELLS)}."
        )
    vector = _BASE.copy()
    for name, cell in genotype.cells.items():
        _check(name, cell)
        for op, source, target in cell.links:
            vector[_POSITION[_edge(name, EDGES.index((source, target)))]] = OPS.index(op)
        for node, pairs in INPUTS.items():
            sources = sorted(link.source for link in cell.links if link.target == node)
            vector[_POSITION[_inputs(name, node)]] = pairs.index((sources[0], sources[1]))
    return vector


def _check(name: str, cell: CellGenotype) -> None:
    edges = [(link.source, link.target) for link in cell.links]
    counts = Counter(target for _, target in edges)
    unknown = sorted({link.op for link in cell.links} - set(OPS))
    if unknown:
        problem = f"has the op {unknown[0]}, not one of {', '.join(OPS)}"
    elif set(edges) - set(EDGES) or sorted(cell.output) != list(NODES):
        problem = f"has other nodes than {', '.join(map(str, NODES))}, which all form the output"
    elif len(set(edges)) != len(edges) or any(counts[node] != 2 for node in NODES):
        problem = "has a node that does not read two different nodes"
    else:
        return
    raise NasError(
        f"benchmark: not in NAS-Bench-301: the {name} cell {problem} ({format_links(cell.links)}). Use a cell of four "
        "nodes, each with two of the published ops on different edges."
    )
