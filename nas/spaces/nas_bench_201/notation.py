"""Architecture strings and indices of NAS-Bench-201: ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from functools import lru_cache

from nas.architecture.cell import Cell, CellGenotype, Genotype, Link
from nas.spaces.check_inputs import require_text
from nas.utils.errors import NasError

NOTATION = "nas_bench_201"
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
CELL = Cell(EDGES, OPS, output=(3,), keeps_none=True)
"""The full cell: four nodes, six edges, five ops on each."""


def native(genotype: Genotype) -> str:
    """Return the architecture string ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
    ops = dict(zip(EDGES, edge_ops(genotype), strict=True))
    nodes = [[f"{ops[s, node]}~{s}" for s in range(node)] for node in (1, 2, 3)]
    return "+".join("|" + "|".join(fields) + "|" for fields in nodes)


def parse(text: str) -> Genotype:
    """Parse an architecture string. Raises NasError for an unknown op or a missing edge."""
    require_text(text)
    nodes = text.strip().split("+")
    if len(nodes) != 3 or not all(n.startswith("|") and n.endswith("|") for n in nodes):
        raise NasError(
            f"genotype={text}: not a NAS-Bench-201 architecture. Write three nodes as "
            "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|."
        )
    return from_ops([op for target, node in enumerate(nodes, 1) for op in _parse_node(text, node, target)])


def _parse_node(text: str, node: str, target: int) -> list[str]:
    """Return the ops of the edges into node ``target``, sorted by their source."""
    ops: dict[int, str] = {}
    for field in node.strip("|").split("|"):
        op, _, source = field.partition("~")
        if op not in OPS:
            raise NasError(f"genotype={text}: unknown op '{op}'. Choose from {', '.join(OPS)}.")
        if source not in map(str, range(target)) or int(source) in ops:
            raise NasError(f"genotype={text}: bad edge '{field}'. Node {target} reads each node before it once.")
        ops[int(source)] = op
    missing = [s for s in range(target) if s not in ops]
    if missing:
        raise NasError(f"genotype={text}: edge {missing[0]}->{target} is missing. Write all six edges, none included.")
    return [ops[s] for s in range(target)]


def from_ops(ops: Sequence[str]) -> Genotype:
    """Return the genotype with ``ops`` on the six edges, in the order of ``EDGES``."""
    links = tuple(Link(op, source, target) for op, (source, target) in zip(ops, EDGES, strict=True))
    return Genotype(NOTATION, {"cell": CellGenotype(links, CELL.output)})


def edge_ops(genotype: Genotype) -> tuple[str, ...]:
    """Return the ops on the six edges, in the order of ``EDGES``."""
    ops = {(link.source, link.target): link.op for link in genotype.cells["cell"].links}
    return tuple(ops[edge] for edge in EDGES)


@lru_cache(maxsize=1)
def benchmark_order() -> tuple[tuple[str, ...], ...]:
    """Return the edge ops of all 15,625 architectures in the index order of the benchmark.

    The order is the Cartesian product of the ops, shuffled by Python's generator with seed 88. A benchmark file that
    lists its own architectures takes precedence.
    """
    order = list(itertools.product(OPS, repeat=len(EDGES)))
    random.Random(88).shuffle(order)
    return tuple(order)


@lru_cache(maxsize=1)
def _benchmark_indices() -> dict[tuple[str, ...], int]:
    return {ops: index for index, ops in enumerate(benchmark_order())}


def from_index(index: int) -> Genotype:
    """Return the architecture with a benchmark index, 0 to 15,624. Raises NasError for any other index."""
    if not 0 <= index < len(benchmark_order()):
        raise NasError(f"index={index}: NAS-Bench-201 has the indices 0 to {len(benchmark_order()) - 1}.")
    return from_ops(benchmark_order()[index])


def to_index(genotype: Genotype) -> int:
    """Return the benchmark index of an architecture."""
    return _benchmark_indices()[edge_ops(genotype)]
