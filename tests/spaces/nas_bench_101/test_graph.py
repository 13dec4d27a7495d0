"""Graphs of NAS-Bench-101 against the authors' values and exhaustive isomorphism tests."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from nas.spaces.nas_bench_101.graph import (
    INPUT,
    OPS,
    OUTPUT,
    Graph,
    find_problem,
    graph_hash,
    prune,
    vertex_channels,
)

LABELS = {-1: INPUT, -2: OUTPUT, **dict(enumerate(OPS))}


@pytest.mark.data
def test_graphs_equal_goldens(shared: Path) -> None:
    golden = np.load(shared / "golden" / "bench_nb101_a.npz")
    for i, count in enumerate(golden["vertices"].tolist()):
        matrix = tuple(map(tuple, golden["matrix"][i][:count, :count].tolist()))
        graph = Graph(matrix, tuple(LABELS[label] for label in golden["labels"][i][:count].tolist()))
        pruned, status = prune(graph), golden["status"][i]
        assert (pruned is None) == (status == 0) and (find_problem(graph) is None) == (status == 3)
        if pruned is None:
            continue
        kept = len(pruned.ops)
        assert pruned.ops == tuple(LABELS[label] for label in golden["pruned_labels"][i].tolist() if label != -9)
        assert [list(row) for row in pruned.matrix] == golden["pruned_matrix"][i][:kept, :kept].tolist()
        assert graph_hash(pruned) == golden["hash"][i]
        assert vertex_channels(128, 256, pruned.matrix) == golden["vertex_channels"][i][:kept].tolist()


def graphs(count: int) -> list[Graph]:
    """Return all connected graphs of ``count`` vertices that lose none by pruning."""
    edges, found = list(itertools.combinations(range(count), 2)), []
    for ops in itertools.product(OPS, repeat=count - 2):
        for chosen in itertools.product((0, 1), repeat=len(edges)):
            on = {edge for edge, bit in zip(edges, chosen, strict=True) if bit}
            matrix = tuple(tuple(int((s, t) in on) for t in range(count)) for s in range(count))
            graph = Graph(matrix, (INPUT, *ops, OUTPUT))
            if prune(graph) == graph:
                found.append(graph)
    return found


def canonical(graph: Graph) -> tuple[object, ...]:
    """Return the smallest form of a graph over all orders of its inner vertices."""
    count, forms = len(graph.ops), []
    for order in itertools.permutations(range(1, count - 1)):
        new = [0, *order, count - 1]
        forms.append((tuple(graph.ops[v] for v in new), tuple(tuple(graph.matrix[s][t] for t in new) for s in new)))
    return min(forms)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_hash_distinguishes_exactly_the_graphs_that_are_not_isomorphic(count: int) -> None:
    found = graphs(count)
    assert len({graph_hash(graph) for graph in found}) == len({canonical(graph) for graph in found})
    assert len({(graph_hash(graph), canonical(graph)) for graph in found}) == len({canonical(g) for g in found})


def test_vertices_share_the_output_channels() -> None:
    """Random graphs: vertices that feed the output have all of its channels, no vertex loses more than one channel."""
    rng = random.Random(0)
    for graph in rng.sample(graphs(5), 200):
        channels, last = vertex_channels(64, 100, graph.matrix), len(graph.ops) - 1
        feeding = [v for v in range(1, last) if graph.matrix[v][last]]
        assert not feeding or sum(channels[v] for v in feeding) == 100
        for s, t in itertools.combinations(range(1, last), 2):
            assert not graph.matrix[s][t] or 0 <= channels[s] - channels[t] <= 1
