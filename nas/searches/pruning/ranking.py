"""What TE-NAS prunes, given how each op's removal changes its scores (Chen et al., ICLR 2021)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nas.architecture.cell import Cell
from nas.proxies.pruned import Alive

DIGITS = 3
"""Changes are rounded to this many decimals, and sorted by as many significant digits."""
LARGE = 1e6
"""The relative change that stands for one from or to a score that is not finite; none counts more."""


class Candidate(NamedTuple):
    """One op that may be pruned: its cell type, edge and column of the table."""

    cell: str
    edge: int
    op: int


def removable(alive: Alive) -> list[Candidate]:
    """Every op that is left on an edge with others, by cell type, edge and op."""
    return [
        Candidate(name, e, o)
        for name, rows in alive.items()
        for e, row in enumerate(rows)
        for o, on in enumerate(row)
        if on and sum(row) > 1
    ]


def crowded(cells: Mapping[str, Cell], alive: Alive) -> list[list[Candidate]]:
    """For each node with more edges than its genotype keeps, the ops that are left on them."""
    found = []
    for name, cell in cells.items():
        for node in cell.nodes if cell.inputs is not None else ():
            edges = [e for e in cell.into(node) if any(alive[name][e])]
            if len(edges) > (cell.inputs or 0):
                found.append([Candidate(name, e, o) for e in edges for o, on in enumerate(alive[name][e]) if on])
    return found


def rounds_left(cells: Mapping[str, Cell], alive: Alive, number: int) -> int:
    """How many rounds decide every edge where each prunes ``number`` ops of it, one of edges included."""
    most = max(sum(row) for rows in alive.values() for row in rows)
    return math.ceil(max(0, most - 1) / number) + bool(crowded(cells, alive))


def without(alive: Alive, gone: Sequence[Candidate]) -> dict[str, list[list[bool]]]:
    """What is left when ``gone`` are pruned."""
    left = {name: [list(row) for row in rows] for name, rows in alive.items()}
    for name, edge, op in gone:
        left[name][edge][op] = False
    return left


def change(before: Sequence[float], after: Sequence[float], higher_is_better: bool) -> float:
    """The mean over repeats of (before - after) / |before|, each rounded to three decimals.

    A score that is not finite is the worst there is: a change from it, or to it, counts as large.
    """
    worse = 1.0 if higher_is_better else -1.0
    found = []
    for one, other in zip(before, after, strict=True):
        if math.isfinite(one) and math.isfinite(other):
            relative = (one - other) / abs(one) if one else (one - other) * LARGE
            found.append(round(max(-LARGE, min(relative, LARGE)), DIGITS))
        else:
            found.append(worse * LARGE * (math.isfinite(one) - math.isfinite(other)))
    return float(np.mean(found))


def ranks(changes: Sequence[float], higher_is_better: bool) -> tuple[list[int], list[int]]:
    """The order in which one score would prune, and the rank of each change in it.

    First comes what improves the score most, or harms it least. The order goes by three significant digits, and
    equals keep theirs; a rank goes up by one wherever the whole value differs from the one before.
    """
    order = sorted(range(len(changes)), key=lambda i: significant(changes[i]), reverse=not higher_is_better)
    found = [0] * len(changes)
    for last, this in zip(order, order[1:], strict=False):
        found[this] = found[last] + (changes[this] != changes[last])
    return order, found


def significant(value: float, digits: int = DIGITS) -> float:
    """``value`` rounded to so many significant digits, with the small offset of the authors' code."""
    if value == 0:
        return 0.0
    size = abs(value) + 1e-8
    power = math.floor(math.log(size, 10)) + 1
    return math.copysign(round(size * 10 ** (-power), digits) * 10**power, value)


def ranked(changes: Sequence[Sequence[float]], higher_is_better: Sequence[bool]) -> list[int]:
    """Positions of candidates by the sum of their ranks under several scores, what is to be pruned first.

    ``changes`` holds one list a score. Of equal sums the order of the first score decides.
    """
    found = [ranks(values, higher) for values, higher in zip(changes, higher_is_better, strict=True)]
    totals = [sum(parts) for parts in zip(*(places for _, places in found), strict=True)]
    return sorted(found[0][0], key=lambda i: totals[i])


def first_of_edges(candidates: Sequence[Candidate], order: Sequence[int], alive: Alive, number: int) -> list[Candidate]:
    """The first ``number`` candidates of each edge, so many that one op is left; edges as they first appear.

    As in the authors' code the first edge of the first cell type bounds ``number`` for all.
    """
    number = min(number, max(sum(next(iter(alive.values()))[0]) - 1, 1))
    chosen: dict[tuple[str, int], list[Candidate]] = {}
    for i in order:
        name, edge, _ = candidates[i]
        taken = chosen.setdefault((name, edge), [])
        if len(taken) < min(number, sum(alive[name][edge]) - 1):
            taken.append(candidates[i])
    return [candidate for taken in chosen.values() for candidate in taken]
