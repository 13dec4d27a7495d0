"""The k genotypes with the highest sum of scores, found without enumerating all genotypes."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from nas.architecture.cell import Cell, CellGenotype, Link

Choice = tuple[float, tuple[Link, ...]]
"""Links that a node may choose together, with the sum of their scores."""


def top_genotypes(cells: Mapping[str, Cell], scores: Mapping[str, Tensor], count: int) -> list[dict[str, CellGenotype]]:
    """Return the ``count`` genotypes whose links have the highest sum of scores, best first.

    The result is exact. Nodes, or edges if a node keeps all, choose independently, so the best choices of each are
    combined in the order of their sums. There may be fewer than ``count`` genotypes.

    Args:
        cells: the cells by type.
        scores: [edges, ops] by cell type.
        count: number of genotypes.
    """
    groups = [(name, choices) for name, cell in cells.items() for choices in node_choices(cell, scores[name])]
    genotypes = []
    for indices in itertools.islice(best_sums([[score for score, _ in choices] for _, choices in groups]), count):
        links: dict[str, list[Link]] = {name: [] for name in cells}
        for (name, choices), i in zip(groups, indices, strict=True):
            links[name] += choices[i][1]
        genotypes.append({name: CellGenotype(tuple(links[name]), cell.output) for name, cell in cells.items()})
    return genotypes


def best_sums(groups: Sequence[Sequence[float]]) -> Iterator[tuple[int, ...]]:
    """Yield one index per group, in the order of decreasing sums. Each group is sorted in decreasing order."""
    start = (0,) * len(groups)
    heap = [(-sum(group[0] for group in groups), start)]
    seen = {start}
    while heap:
        _, indices = heapq.heappop(heap)
        yield indices
        for g, group in enumerate(groups):
            after = (*indices[:g], indices[g] + 1, *indices[g + 1 :])
            if after[g] < len(group) and after not in seen:
                seen.add(after)
                heapq.heappush(heap, (-sum(values[i] for values, i in zip(groups, after, strict=True)), after))


def node_choices(cell: Cell, scores: Tensor) -> Iterator[list[Choice]]:
    """Yield the choices of each node (of each edge, if a node keeps all), best first."""
    table = scores.detach().cpu().tolist()

    def choices_on(rows: Sequence[int]) -> Iterator[Choice]:
        for ops in itertools.product(*(cell.choices(e) for e in rows)):
            links = tuple(Link(op, *cell.edges[e]) for e, op in zip(rows, ops, strict=True))
            yield sum(table[e][cell.ops.index(op)] for e, op in zip(rows, ops, strict=True)), links

    for node in cell.nodes:
        rows = [e for e in cell.into(node) if cell.choices(e)]
        groups: list[list[tuple[int, ...]]] = [[(e,)] for e in rows]
        if cell.inputs is not None:
            groups = [list(itertools.combinations(rows, min(cell.inputs, len(rows))))]
        for subsets in groups:
            yield sorted((choice for subset in subsets for choice in choices_on(subset)), key=lambda c: -c[0])
