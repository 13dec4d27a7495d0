"""The genotypes with the highest scores, without looking at all of them."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from nas.architecture.cell import Cell, CellGenotype, Link

Option = tuple[float, tuple[Link, ...]]


def strongest(cells: Mapping[str, Cell], scores: Mapping[str, Tensor], count: int) -> list[dict[str, CellGenotype]]:
    """The ``count`` genotypes whose links have the highest sum of ``scores`` [edges, ops], strongest first.

    Exact: nodes, or edges where a node keeps all, choose independently, so the best choices of each are
    combined best first. There may be fewer genotypes than asked for.
    """
    places = [(name, group) for name, cell in cells.items() for group in _groups(cell, scores[name])]
    found = []
    for choice in itertools.islice(best_sums([[score for score, _ in group] for _, group in places]), count):
        links: dict[str, list[Link]] = {name: [] for name in cells}
        for (name, group), i in zip(places, choice, strict=True):
            links[name] += group[i][1]
        found.append({name: CellGenotype(tuple(links[name]), cell.output) for name, cell in cells.items()})
    return found


def best_sums(groups: Sequence[Sequence[float]]) -> Iterator[tuple[int, ...]]:
    """One index a group, in the order of falling sums; each group is given in falling order."""
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


def _groups(cell: Cell, scores: Tensor) -> Iterator[list[Option]]:
    """What each node of a cell may choose, strongest first."""
    table = scores.detach().cpu().tolist()

    def options(rows: Sequence[int]) -> Iterator[Option]:
        for ops in itertools.product(*(cell.choices(e) for e in rows)):
            links = tuple(Link(op, *cell.edges[e]) for e, op in zip(rows, ops, strict=True))
            yield sum(table[e][cell.ops.index(op)] for e, op in zip(rows, ops, strict=True)), links

    for node in cell.nodes:
        rows = cell.into(node)
        kept: list[list[tuple[int, ...]]] = [[(e,)] for e in rows]
        if cell.inputs is not None:
            kept = [list(itertools.combinations(rows, min(cell.inputs, len(rows))))]
        for sets in kept:
            yield sorted((o for chosen in sets for o in options(chosen)), key=lambda o: -o[0])
