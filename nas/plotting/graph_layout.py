"""Where to draw the boxes, arrows and labels of a small acyclic graph so that nothing overlaps.

The layered method of Sugiyama et al. (1981): boxes stand in columns by their longest path, and an arrow takes up a
place of its own in every column it crosses, a wide one where its label stands. Crossings are then reduced by
reordering the columns, and bends by moving the places up and down. All lengths are in inches.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

Point = tuple[float, float]
Piece = tuple[Point, Point]
_Heights = dict[int, float]

COLUMN_GAP = 0.3
ROW_GAP = 0.14
LABEL_HEIGHT = 0.2
PORT_GAP = 0.09


class Box(NamedTuple):
    """The size of a node."""

    width: float
    height: float


class Arrow(NamedTuple):
    """A connection between two nodes with the width of its label, 0 for none."""

    source: int
    target: int
    label: float = 0.0


class Route(NamedTuple):
    """The way of an arrow: the flat pieces (left end, right end) that curves join, and the center of its label."""

    pieces: list[Piece]
    label: Point


class Layout(NamedTuple):
    """The center of each node, the way of each arrow, and the size of the whole, which starts at (0, 0)."""

    nodes: dict[int, Point]
    routes: list[Route]
    width: float
    height: float


class _Places(NamedTuple):
    """The nodes and what the arrows occupy on their way: everything that needs room in a column."""

    column: dict[int, int]
    size: dict[int, Box]
    chains: list[list[int]]  # for each arrow its source, its places and its target
    labels: list[int]  # for each arrow the place of its label

    def sides(self) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
        """What each place is joined to on its left and on its right."""
        left: dict[int, list[int]] = {place: [] for place in self.size}
        right: dict[int, list[int]] = {place: [] for place in self.size}
        for chain in self.chains:
            for a, b in pairwise(chain):
                right[a].append(b)
                left[b].append(a)
        return left, right


def layered(boxes: Mapping[int, Box], arrows: Sequence[Arrow]) -> Layout:
    """The layout of an acyclic graph whose arrows point to higher numbers; a pair of nodes may repeat."""
    places = _places(boxes, arrows)
    columns = _ordered(places)
    ports = _ports(places, columns)
    y = _heights(places, columns, ports)
    _straighten(places, columns, y)
    widths = [max(places.size[place].width for place in column) for column in columns]
    x = [sum(widths[:i]) + i * COLUMN_GAP + width / 2 for i, width in enumerate(widths)]
    bottom = min(y[place] - size.height / 2 for place, size in places.size.items())
    top = max(y[place] + size.height / 2 for place, size in places.size.items())
    at = {place: (x[places.column[place]], y[place] - bottom) for place in places.size}
    edges = [(middle - width / 2, middle + width / 2) for middle, width in zip(x, widths, strict=True)]
    routes = []
    for chain, label in zip(places.chains, places.labels, strict=True):
        # Where nothing has a width there is nothing to evade: one long curve is smoother.
        way = [place for place in chain[1:-1] if widths[places.column[place]]]
        flat = [((edges[c][0], at[p][1]), (edges[c][1], at[p][1])) for p in way for c in [places.column[p]]]
        first, last = chain[0], chain[-1]
        y0, y1 = at[first][1] + ports[first, chain[1]], at[last][1] + ports[last, chain[-2]]
        start = (at[first][0] + boxes[first].width / 2, y0), (edges[places.column[first]][1], y0)
        end = (edges[places.column[last]][0], y1), (at[last][0] - boxes[last].width / 2, y1)
        routes.append(Route([start, *flat, end], at[label]))
    width = sum(widths) + COLUMN_GAP * (len(widths) - 1)
    return Layout({node: at[node] for node in boxes}, routes, width, top - bottom)


def _places(boxes: Mapping[int, Box], arrows: Sequence[Arrow]) -> _Places:
    column = dict.fromkeys(sorted(boxes), 0)
    for source, target, _ in sorted(arrows, key=lambda arrow: arrow.target):
        column[target] = max(column[target], column[source] + 2)
    size = dict(boxes)
    chains: dict[int, list[int]] = {}
    labels: dict[int, int] = {}
    crowd: dict[int, int] = {}
    # A short arrow has no choice where its label stands, so the short ones come first.
    for i in sorted(range(len(arrows)), key=lambda i: column[arrows[i].target] - column[arrows[i].source]):
        source, target, label = arrows[i]
        way = range(column[source] + 1, column[target])
        spot = min(way[::2], key=lambda c: (crowd.get(c, 0), abs(2 * c - way[0] - way[-1]), c))
        crowd[spot] = crowd.get(spot, 0) + (label > 0)
        fresh = range(max(size) + 1, max(size) + 1 + len(way))
        chains[i] = [source, *fresh, target]
        labels[i] = fresh[way.index(spot)]
        for place, at in zip(fresh, way, strict=True):
            column[place] = at
            size[place] = Box(label, LABEL_HEIGHT) if label and at == spot else Box(0.0, 0.0)
    return _Places(column, size, [chains[i] for i in range(len(arrows))], [labels[i] for i in range(len(arrows))])


def _ordered(places: _Places, attempts: int = 12) -> list[list[int]]:
    """The columns, each from bottom to top, with few crossings: the best of several descents, always the same."""
    rng = random.Random(0)
    start: list[list[int]] = [[] for _ in range(max(places.column.values(), default=-1) + 1)]
    for place, column in places.column.items():
        start[column].append(place)
    left, right = places.sides()
    best: tuple[int, list[list[int]]] | None = None
    for attempt in range(attempts):
        columns = [rng.sample(column, len(column)) if attempt else list(column) for column in start]
        for sweep in range(8):
            forward = sweep % 2 == 0
            for i in range(len(columns)) if forward else reversed(range(len(columns))):
                _sort(columns, i, left if forward else right)
                _swap(columns[i], left, right, columns[i - 1] if i else [], columns[i + 1 : i + 2])
        crossings = sum(_crossings(a, b, right) for a, b in pairwise(columns))
        if best is None or crossings < best[0]:
            best = crossings, columns
    columns = best[1] if best else []
    if columns and columns[0].index(min(columns[0])) == 0:
        columns = [column[::-1] for column in columns]  # the first input belongs on top
    return columns


def _sort(columns: list[list[int]], i: int, joined: Mapping[int, list[int]]) -> None:
    """Sort column ``i`` by the mean position of what its places are joined to on one side."""
    row = {place: r for column in columns for r, place in enumerate(column)}
    columns[i].sort(key=lambda p: sum(row[q] for q in joined[p]) / len(joined[p]) if joined[p] else row[p])


def _swap(
    column: list[int],
    left: Mapping[int, list[int]],
    right: Mapping[int, list[int]],
    before: Sequence[int],
    after: Sequence[Sequence[int]],
) -> None:
    """Exchange neighbors in a column as long as that removes crossings."""
    row = {place: r for other in (before, *after) for r, place in enumerate(other)}
    better = True
    while better:
        better = False
        for i in range(len(column) - 1):
            a, b = column[i], column[i + 1]
            ends = [([row[p] for p in side[a]], [row[p] for p in side[b]]) for side in (left, right)]
            now = sum(p > q for below, above in ends for p in below for q in above)
            then = sum(p < q for below, above in ends for p in below for q in above)
            if then < now:
                column[i], column[i + 1] = b, a
                better = True


def _crossings(column: Sequence[int], following: Sequence[int], right: Mapping[int, list[int]]) -> int:
    row = {place: r for r, place in enumerate(following)}
    ends = [[row[p] for p in right[place]] for place in column]
    return sum(p > q for i, below in enumerate(ends) for above in ends[i + 1 :] for p in below for q in above)


def _ports(places: _Places, columns: Sequence[Sequence[int]]) -> dict[tuple[int, int], float]:
    """How far from the middle of a node the arrow to or from a place touches it: arrows fan out in their order."""
    row = {place: r for column in columns for r, place in enumerate(column)}
    offsets: dict[tuple[int, int], float] = {}
    for side in places.sides():
        for node in {chain[end] for chain in places.chains for end in (0, -1)}:
            joined = sorted(side[node], key=row.__getitem__)
            room = places.size[node].height - 2 * PORT_GAP
            gap = min(room / (len(joined) - 1), 2.5 * PORT_GAP) if len(joined) > 1 else 0.0
            offsets |= {(node, place): (r - (len(joined) - 1) / 2) * gap for r, place in enumerate(joined)}
    return offsets


def _apart(places: _Places, column: Sequence[int]) -> list[float]:
    """The least distances between the neighbors of a column."""
    return [(places.size[a].height + places.size[b].height) / 2 + ROW_GAP for a, b in pairwise(column)]


def _heights(places: _Places, columns: Sequence[Sequence[int]], ports: Mapping[tuple[int, int], float]) -> _Heights:
    """The y of each place: close to what it is joined to, and never closer to its neighbors than they allow."""
    left, right = places.sides()
    nodes = {chain[end] for chain in places.chains for end in (0, -1)}
    apart = [_apart(places, column) for column in columns]
    y: _Heights = {}
    for column, gaps in zip(columns, apart, strict=True):
        y |= zip(column, _spread([0.0] * len(column), gaps), strict=True)
    for sweep in range(60):
        for i in range(len(columns)) if sweep % 2 else reversed(range(len(columns))):
            wanted = []
            for a in columns[i]:
                # Long arrows should run straight: what is no node pulls harder at what is no node.
                pulls = [
                    (
                        y[b] + ports.get((b, a), 0.0) - ports.get((a, b), 0.0),
                        1 + 3 * (a not in nodes) * (b not in nodes),
                    )
                    for b in left[a] + right[a]
                ]
                weight = sum(w for _, w in pulls)
                wanted.append(sum(at * w for at, w in pulls) / weight if pulls else y[a])
            y |= zip(columns[i], _spread(wanted, apart[i]), strict=True)
    return y


def _spread(wanted: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """The positions nearest to ``wanted`` (least squares) that keep the order and the gaps between neighbors."""
    offsets = list(accumulate(gaps, initial=0.0))[: len(wanted)]
    blocks: list[tuple[float, int]] = []
    for value, offset in zip(wanted, offsets, strict=True):
        mean, count = value - offset, 1
        while blocks and blocks[-1][0] > mean:
            last, size = blocks.pop()
            mean, count = (last * size + mean * count) / (size + count), size + count
        blocks.append((mean, count))
    levels = [mean for mean, count in blocks for _ in range(count)]
    return [level + offset for level, offset in zip(levels, offsets, strict=True)]


def _straighten(places: _Places, columns: Sequence[Sequence[int]], y: _Heights) -> None:
    """Put the places of each arrow on one level, or on few, as far as their neighbors leave room."""
    for chain in sorted(places.chains, key=len, reverse=True) * 2:
        run: list[int] = []
        low, high = -math.inf, math.inf
        for place in chain[1:-1]:
            column = columns[places.column[place]]
            row, apart = column.index(place), _apart(places, column)
            floor = y[column[row - 1]] + apart[row - 1] if row else -math.inf
            roof = y[column[row + 1]] - apart[row] if row + 1 < len(column) else math.inf
            if run and max(low, floor) > min(high, roof):
                _level(run, low, high, y)
                run, low, high = [], -math.inf, math.inf
            run.append(place)
            low, high = max(low, floor), min(high, roof)
        _level(run, low, high, y)


def _level(run: Sequence[int], low: float, high: float, y: _Heights) -> None:
    y |= dict.fromkeys(run, min(max(sum(y[place] for place in run) / len(run), low), high))
