"""Layered layout of a small acyclic graph without overlaps (Sugiyama et al., 1981).

Boxes stand in columns by their longest path. An arrow occupies a slot in every column that it crosses, a wide slot for
its label. Reordering the columns reduces crossings, and moving slots vertically reduces bends. All lengths are in
inches.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

Point = tuple[float, float]
Piece = tuple[Point, Point]
_Positions = dict[int, float]

COLUMN_GAP = 0.24
ROW_GAP = 0.14
LABEL_HEIGHT = 0.2
PORT_GAP = 0.09


class Box(NamedTuple):
    """Size of a node."""

    width: float
    height: float


class Arrow(NamedTuple):
    """Connection between two nodes; ``label`` is the width of its label, 0 for none."""

    source: int
    target: int
    label: float = 0.0


class Route(NamedTuple):
    """Path of an arrow: flat pieces (left end, right end) to be joined by curves, and the center of its label."""

    pieces: list[Piece]
    label: Point


class Layout(NamedTuple):
    """Center of each node, route of each arrow, and size of the layout, whose origin is (0, 0)."""

    nodes: dict[int, Point]
    routes: list[Route]
    width: float
    height: float


class _Slots(NamedTuple):
    """Nodes, and the slots of arrows in the columns between them."""

    column: dict[int, int]
    size: dict[int, Box]
    chains: list[list[int]]  # source, slots and target of each arrow
    labels: list[int]  # the slot of the label of each arrow

    def sides(self) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
        """Return the left and the right neighbors of each slot along the arrows."""
        left: dict[int, list[int]] = {slot: [] for slot in self.size}
        right: dict[int, list[int]] = {slot: [] for slot in self.size}
        for chain in self.chains:
            for a, b in pairwise(chain):
                right[a].append(b)
                left[b].append(a)
        return left, right


def layered_layout(boxes: Mapping[int, Box], arrows: Sequence[Arrow]) -> Layout:
    """Lay out an acyclic graph whose arrows point to higher node numbers; arrows may repeat."""
    slots = _make_slots(boxes, arrows)
    columns = _order_columns(slots)
    ports = _port_offsets(slots, columns)
    y = _slot_heights(slots, columns, ports)
    _straighten(slots, columns, y)
    widths = [max(slots.size[slot].width for slot in column) for column in columns]
    x = [sum(widths[:i]) + i * COLUMN_GAP + width / 2 for i, width in enumerate(widths)]
    bottom = min(y[slot] - size.height / 2 for slot, size in slots.size.items())
    top = max(y[slot] + size.height / 2 for slot, size in slots.size.items())
    at = {slot: (x[slots.column[slot]], y[slot] - bottom) for slot in slots.size}
    edges = [(middle - width / 2, middle + width / 2) for middle, width in zip(x, widths, strict=True)]
    routes = []
    for chain, label in zip(slots.chains, slots.labels, strict=True):
        # A column without widths has no obstacles, and one long curve is smoother.
        path = [slot for slot in chain[1:-1] if widths[slots.column[slot]]]
        flat = [((edges[c][0], at[p][1]), (edges[c][1], at[p][1])) for p in path for c in [slots.column[p]]]
        first, last = chain[0], chain[-1]
        y0, y1 = at[first][1] + ports[first, chain[1]], at[last][1] + ports[last, chain[-2]]
        start = (at[first][0] + boxes[first].width / 2, y0), (edges[slots.column[first]][1], y0)
        end = (edges[slots.column[last]][0], y1), (at[last][0] - boxes[last].width / 2, y1)
        routes.append(Route([start, *flat, end], at[label]))
    width = sum(widths) + COLUMN_GAP * (len(widths) - 1)
    return Layout({node: at[node] for node in boxes}, routes, width, top - bottom)


def _make_slots(boxes: Mapping[int, Box], arrows: Sequence[Arrow]) -> _Slots:
    column = dict.fromkeys(sorted(boxes), 0)
    for source, target, _ in sorted(arrows, key=lambda arrow: arrow.target):
        column[target] = max(column[target], column[source] + 2)
    size = dict(boxes)
    chains: dict[int, list[int]] = {}
    labels: dict[int, int] = {}
    label_count: dict[int, int] = {}
    # A short arrow has no choice of the column for its label, so short arrows come first.
    for i in sorted(range(len(arrows)), key=lambda i: column[arrows[i].target] - column[arrows[i].source]):
        source, target, label = arrows[i]
        crossed = range(column[source] + 1, column[target])
        label_column = min(
            crossed[::2], key=lambda c: (label_count.get(c, 0), abs(2 * c - crossed[0] - crossed[-1]), c)
        )
        label_count[label_column] = label_count.get(label_column, 0) + (label > 0)
        new = range(max(size) + 1, max(size) + 1 + len(crossed))
        chains[i] = [source, *new, target]
        labels[i] = new[crossed.index(label_column)]
        for slot, at in zip(new, crossed, strict=True):
            column[slot] = at
            size[slot] = Box(label, LABEL_HEIGHT) if label and at == label_column else Box(0.0, 0.0)
    return _Slots(column, size, [chains[i] for i in range(len(arrows))], [labels[i] for i in range(len(arrows))])


def _order_columns(slots: _Slots, attempts: int = 12) -> list[list[int]]:
    """Return the columns, each from bottom to top, with few crossings: the best of several seeded descents."""
    rng = random.Random(0)
    start: list[list[int]] = [[] for _ in range(max(slots.column.values(), default=-1) + 1)]
    for slot, column in slots.column.items():
        start[column].append(slot)
    left, right = slots.sides()
    best: tuple[int, list[list[int]]] | None = None
    for attempt in range(attempts):
        columns = [rng.sample(column, len(column)) if attempt else list(column) for column in start]
        for sweep in range(8):
            forward = sweep % 2 == 0
            for i in range(len(columns)) if forward else reversed(range(len(columns))):
                _sort_by_barycenter(columns, i, left if forward else right)
                _swap_adjacent(columns[i], left, right, columns[i - 1] if i else [], columns[i + 1 : i + 2])
        crossings = sum(_crossings(a, b, right) for a, b in pairwise(columns))
        if best is None or crossings < best[0]:
            best = crossings, columns
    columns = best[1] if best else []
    if columns and columns[0].index(min(columns[0])) == 0:
        columns = [column[::-1] for column in columns]  # the first input is on top
    return columns


def _sort_by_barycenter(columns: list[list[int]], i: int, neighbors: Mapping[int, list[int]]) -> None:
    """Sort column ``i`` by the mean position of the neighbors of each slot on one side."""
    row = {slot: r for column in columns for r, slot in enumerate(column)}
    columns[i].sort(key=lambda p: sum(row[q] for q in neighbors[p]) / len(neighbors[p]) if neighbors[p] else row[p])


def _swap_adjacent(
    column: list[int],
    left: Mapping[int, list[int]],
    right: Mapping[int, list[int]],
    before: Sequence[int],
    after: Sequence[Sequence[int]],
) -> None:
    """Swap adjacent slots of a column while that removes crossings."""
    row = {slot: r for other in (before, *after) for r, slot in enumerate(other)}
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
    row = {slot: r for r, slot in enumerate(following)}
    ends = [[row[p] for p in right[slot]] for slot in column]
    return sum(p > q for i, below in enumerate(ends) for above in ends[i + 1 :] for p in below for q in above)


def _port_offsets(slots: _Slots, columns: Sequence[Sequence[int]]) -> dict[tuple[int, int], float]:
    """Return the offset from the center of a node at which the arrow to or from a slot ends, for each (node, slot)."""
    row = {slot: r for column in columns for r, slot in enumerate(column)}
    offsets: dict[tuple[int, int], float] = {}
    for side in slots.sides():
        for node in {chain[end] for chain in slots.chains for end in (0, -1)}:
            neighbors = sorted(side[node], key=row.__getitem__)
            extent = slots.size[node].height - 2 * PORT_GAP
            gap = min(extent / (len(neighbors) - 1), 2.5 * PORT_GAP) if len(neighbors) > 1 else 0.0
            offsets |= {(node, slot): (r - (len(neighbors) - 1) / 2) * gap for r, slot in enumerate(neighbors)}
    return offsets


def _min_distances(slots: _Slots, column: Sequence[int]) -> list[float]:
    """Return the minimal distances between adjacent slots of a column."""
    return [(slots.size[a].height + slots.size[b].height) / 2 + ROW_GAP for a, b in pairwise(column)]


def _slot_heights(
    slots: _Slots, columns: Sequence[Sequence[int]], ports: Mapping[tuple[int, int], float]
) -> _Positions:
    """Return the y of each slot: near its neighbors along the arrows, at the minimal distances in its column."""
    left, right = slots.sides()
    nodes = {chain[end] for chain in slots.chains for end in (0, -1)}
    distances = [_min_distances(slots, column) for column in columns]
    y: _Positions = {}
    for column, gaps in zip(columns, distances, strict=True):
        y |= zip(column, _isotonic_fit([0.0] * len(column), gaps), strict=True)
    for sweep in range(60):
        for i in range(len(columns)) if sweep % 2 else reversed(range(len(columns))):
            wanted = []
            for a in columns[i]:
                # Two slots of an arrow attract each other more than a node and a slot, to straighten long arrows.
                pulls = [
                    (
                        y[b] + ports.get((b, a), 0.0) - ports.get((a, b), 0.0),
                        1 + 3 * (a not in nodes) * (b not in nodes),
                    )
                    for b in left[a] + right[a]
                ]
                weight = sum(w for _, w in pulls)
                wanted.append(sum(at * w for at, w in pulls) / weight if pulls else y[a])
            y |= zip(columns[i], _isotonic_fit(wanted, distances[i]), strict=True)
    return y


def _isotonic_fit(wanted: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Return the positions nearest to ``wanted`` in least squares that preserve the order and the gaps."""
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


def _straighten(slots: _Slots, columns: Sequence[Sequence[int]], y: _Positions) -> None:
    """Align the slots of each arrow at one height, or at few heights, as far as the distances permit."""
    for chain in sorted(slots.chains, key=len, reverse=True) * 2:
        run: list[int] = []
        low, high = -math.inf, math.inf
        for slot in chain[1:-1]:
            column = columns[slots.column[slot]]
            row, distances = column.index(slot), _min_distances(slots, column)
            floor = y[column[row - 1]] + distances[row - 1] if row else -math.inf
            roof = y[column[row + 1]] - distances[row] if row + 1 < len(column) else math.inf
            if run and max(low, floor) > min(high, roof):
                _align(run, low, high, y)
                run, low, high = [], -math.inf, math.inf
            run.append(slot)
            low, high = max(low, floor), min(high, roof)
        _align(run, low, high, y)


def _align(run: Sequence[int], low: float, high: float, y: _Positions) -> None:
    y |= dict.fromkeys(run, min(max(sum(y[slot] for slot in run) / len(run), low), high))
