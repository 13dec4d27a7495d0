"""The subspaces of NAS-Bench-1Shot1 as graphs: numbers of parents, and the hashes of all cells."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from nas.spaces.nas_bench_101.graph import INPUT, OPS, OUTPUT, Graph, graph_hash, prune

PARENTS: Mapping[int, tuple[int, ...]] = {1: (1, 2, 2, 2, 2), 2: (1, 1, 2, 2, 3), 3: (1, 1, 1, 2, 2, 2)}
"""Number of parents of each vertex after the input, by subspace; the last one is the output."""


def build_graph(parents: tuple[tuple[int, ...], ...], ops: tuple[str, ...]) -> Graph:
    """Return the graph of the parents of each vertex after the input, and of the ops of the inner vertices."""
    count = len(parents) + 1
    rows = tuple(tuple(int(t > 0 and s in parents[t - 1]) for t in range(count)) for s in range(count))
    return Graph(rows, (INPUT, *ops, OUTPUT))


def parent_choices(subspace: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Yield all combinations of the parents of the vertices of a subspace."""
    sizes = PARENTS[subspace]
    return itertools.product(*(tuple(itertools.combinations(range(v), k)) for v, k in enumerate(sizes, 1)))


def distinct_hashes(subspace: int) -> list[str]:
    """Return the hashes of all pruned cells of a subspace, one for each class of isomorphic cells."""
    shapes: dict[str, Graph] = {}  # isomorphic graphs have the same cells, so one of them is enough
    for parents in parent_choices(subspace):
        pruned = prune(build_graph(parents, (OPS[0],) * (len(parents) - 1)))
        assert pruned is not None, "each vertex has a parent before it"
        shapes.setdefault(graph_hash(pruned), pruned)
    cells = (
        Graph(shape.matrix, (INPUT, *ops, OUTPUT))
        for shape in shapes.values()
        for ops in itertools.product(OPS, repeat=len(shape.ops) - 2)
    )
    return list(dict.fromkeys(map(graph_hash, cells)))
