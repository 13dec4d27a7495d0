"""Cells of NAS-Bench-101 as labeled graphs: pruning, limits, hash, and channels of the vertices."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

OPS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""Ops of a vertex; the hash reads their positions."""
INPUT, OUTPUT = "input", "output"
MAX_VERTICES, MAX_EDGES = 7, 9

Matrix = tuple[tuple[int, ...], ...]


class Graph(NamedTuple):
    """A cell: vertex 0 is its input, the last vertex its output.

    Attributes:
        matrix: adjacency [vertices, vertices] of 0 and 1, upper triangular.
        ops: label of each vertex: INPUT, one of ``OPS`` for the vertices between, OUTPUT.
    """

    matrix: Matrix
    ops: tuple[str, ...]

    @property
    def edges(self) -> int:
        """Number of edges."""
        return sum(map(sum, self.matrix))


def prune(graph: Graph) -> Graph | None:
    """Remove the vertices that are on no path from input to output; None if there is no path."""
    count, matrix = len(graph.ops), graph.matrix
    forward, backward = {0}, {count - 1}
    for vertex in range(1, count):
        if any(matrix[source][vertex] for source in forward):
            forward.add(vertex)
    for vertex in range(count - 2, -1, -1):
        if any(matrix[vertex][target] for target in backward):
            backward.add(vertex)
    kept = sorted(forward & backward)
    if 0 not in kept or count - 1 not in kept:
        return None
    rows = tuple(tuple(matrix[source][target] for target in kept) for source in kept)
    return Graph(rows, tuple(graph.ops[vertex] for vertex in kept))


def find_problem(graph: Graph) -> str | None:
    """Return the reason why a graph is not in the benchmark, None if it is; the limits hold for the pruned graph."""
    pruned = prune(graph)
    if pruned is None:
        return "its input and output are not connected"
    if len(pruned.ops) > MAX_VERTICES:
        return f"it has {len(pruned.ops)} vertices, and at most {MAX_VERTICES} are in the space"
    if pruned.edges > MAX_EDGES:
        return f"it has {pruned.edges} edges, and at most {MAX_EDGES} are in the space"
    return None


def graph_hash(graph: Graph) -> str:
    """Return the published hash of a pruned graph: equal for isomorphic graphs, which have equal networks."""
    count = len(graph.ops)
    labels = [-1, *(OPS.index(op) for op in graph.ops[1:-1]), -2]
    sources = [[s for s in range(count) if graph.matrix[s][t]] for t in range(count)]
    targets = [[t for t in range(count) if graph.matrix[s][t]] for s in range(count)]
    hashes = [_md5(str((len(targets[v]), len(sources[v]), labels[v]))) for v in range(count)]
    for _ in range(count):
        hashes = [
            _md5(
                "".join(sorted(hashes[s] for s in sources[v]))
                + "|"
                + "".join(sorted(hashes[t] for t in targets[v]))
                + "|"
                + hashes[v]
            )
            for v in range(count)
        ]
    return _md5(str(sorted(hashes)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def vertex_channels(inputs: int, outputs: int, matrix: Sequence[Sequence[int]]) -> list[int]:
    """Return the channels of each vertex of a pruned graph.

    The vertices that feed the output share its channels, the first ones taking the remainder. Any other vertex has as
    many channels as the widest vertex that it feeds.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        matrix: adjacency.
    """
    last = len(matrix) - 1
    channels = [inputs, *[0] * (last - 1), outputs]
    feeding = [vertex for vertex in range(1, last) if matrix[vertex][last]]
    for position, vertex in enumerate(feeding):
        channels[vertex] = outputs // len(feeding) + (position < outputs % len(feeding))
    for vertex in range(last - 1, 0, -1):
        if not matrix[vertex][last]:
            channels[vertex] = max(channels[target] for target in range(vertex + 1, last) if matrix[vertex][target])
    return channels
