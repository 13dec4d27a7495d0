"""Ranking and selection of the ops that TE-NAS prunes (Chen et al., ICLR 2021)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nas.architecture.cell import Cell
from nas.proxies.proxy import Proxy
from nas.proxies.pruned import Alive

DIGITS = 3
"""Changes are rounded to this number of decimals, and sorted by this number of significant digits."""
LARGEST_CHANGE = 1e6
"""The bound of relative changes; a change from or to a non-finite value counts as this much."""


class Candidate(NamedTuple):
    """An op that may be pruned."""

    cell: str
    edge: int
    """Row of the cell's table."""
    op: int
    """Column of the cell's table."""


class CandidateScores(NamedTuple):
    """Proxy values of the supernet with and without a candidate: one list per proxy, one number per repeat."""

    before: list[list[float]]
    after: list[list[float]]


def tie_sorted(candidates: Sequence[Candidate], cells: Mapping[str, Cell], order: Sequence[str]) -> list[Candidate]:
    """Sort the candidates of each edge by a list of op names. Ops that it lacks come last, in the order of the space.

    The rankings are stable, so this order selects among candidates with equal changes.
    """
    places = {op: place for place, op in enumerate(order)}
    rows = {key: number for number, key in enumerate(dict.fromkeys((c.cell, c.edge) for c in candidates))}

    def key(candidate: Candidate) -> tuple[int, int]:
        op = cells[candidate.cell].ops[candidate.op]
        return rows[candidate.cell, candidate.edge], places.get(op, len(order))

    return sorted(candidates, key=key)


def removable_ops(alive: Alive) -> list[Candidate]:
    """List every op whose edge has other remaining ops, by cell type, edge and op."""
    return [
        Candidate(name, e, o)
        for name, rows in alive.items()
        for e, row in enumerate(rows)
        for o, on in enumerate(row)
        if on and sum(row) > 1
    ]


def nodes_over_limit(cells: Mapping[str, Cell], alive: Alive) -> list[list[Candidate]]:
    """List the remaining ops on the edges into each node that has more edges than a genotype keeps."""
    groups = []
    for name, cell in cells.items():
        for node in cell.nodes if cell.inputs is not None else ():
            edges = [e for e in cell.into(node) if any(alive[name][e])]
            if len(edges) > (cell.inputs or 0):
                groups.append([Candidate(name, e, o) for e in edges for o, on in enumerate(alive[name][e]) if on])
    return groups


def rounds_needed(cells: Mapping[str, Cell], alive: Alive, number: int) -> int:
    """Return the number of rounds until every edge has one op and every node has its number of edges.

    Args:
        cells: the search space.
        alive: the remaining ops.
        number: ops that an edge loses per round.
    """
    most = max(sum(row) for rows in alive.values() for row in rows)
    return math.ceil(max(0, most - 1) / number) + bool(nodes_over_limit(cells, alive))


def prune_ops(alive: Alive, pruned: Sequence[Candidate]) -> dict[str, list[list[bool]]]:
    """Return the remaining ops after the candidates ``pruned`` are removed from ``alive``."""
    remaining = {name: [list(row) for row in rows] for name, rows in alive.items()}
    for name, edge, op in pruned:
        remaining[name][edge][op] = False
    return remaining


def select_pruned(
    group: Sequence[Candidate],
    scores: Sequence[CandidateScores],
    proxies: Sequence[Proxy],
    alive: Alive,
    keep: int | None,
    number: int,
    keeps: Callable[[Sequence[Candidate]], bool] = lambda pruned: True,
) -> list[Candidate]:
    """Select the candidates to prune.

    Args:
        group: candidates that are ranked together.
        scores: their proxy values.
        proxies: the proxies, in the order of the scores.
        alive: the remaining ops.
        keep: in a round of edges, the number of candidates to keep; None in a round of ops.
        number: in a round of ops, the number of ops to prune on each edge.
        keeps: returns whether candidates may be pruned together, such as within limits on costs.
    """
    changes = [
        [relative_change(s.before[i], s.after[i], proxy.higher_is_better) for s in scores]
        for i, proxy in enumerate(proxies)
    ]
    order = pruning_order(changes, [proxy.higher_is_better for proxy in proxies])
    if keep is not None:
        pruned: list[Candidate] = []
        for i in order:
            if len(pruned) < len(group) - keep and keeps([*pruned, group[i]]):
                pruned.append(group[i])
        return pruned
    return first_of_each_edge(group, order, alive, number, keeps)


def relative_change(before: Sequence[float], after: Sequence[float], higher_is_better: bool) -> float:
    """Return the mean over repeats of (before - after) / abs(before), each rounded to three decimals.

    A non-finite value is worse than any finite one: a change from it or to it counts as the largest change.
    """
    sign = 1.0 if higher_is_better else -1.0
    changes = []
    for one, other in zip(before, after, strict=True):
        if math.isfinite(one) and math.isfinite(other):
            relative = (one - other) / abs(one) if one else (one - other) * LARGEST_CHANGE
            changes.append(round(max(-LARGEST_CHANGE, min(relative, LARGEST_CHANGE)), DIGITS))
        else:
            changes.append(sign * LARGEST_CHANGE * (math.isfinite(one) - math.isfinite(other)))
    return float(np.mean(changes))


def rank_changes(changes: Sequence[float], higher_is_better: bool) -> tuple[list[int], list[int]]:
    """Return the order in which one proxy would prune candidates, and the rank of each candidate in it.

    The first candidate improves the proxy most, or harms it least. The order compares three significant digits and
    is stable. Ranks increase by one wherever the full value differs from the previous one.
    """
    order = sorted(range(len(changes)), key=lambda i: round_significant(changes[i]), reverse=not higher_is_better)
    ranks = [0] * len(changes)
    for last, this in zip(order, order[1:], strict=False):
        ranks[this] = ranks[last] + (changes[this] != changes[last])
    return order, ranks


def round_significant(value: float, digits: int = DIGITS) -> float:
    """Round ``value`` to a number of significant digits, with the small offset of the authors' code."""
    if value == 0:
        return 0.0
    size = abs(value) + 1e-8
    power = math.floor(math.log(size, 10)) + 1
    return math.copysign(round(size * 10 ** (-power), digits) * 10**power, value)


def pruning_order(changes: Sequence[Sequence[float]], higher_is_better: Sequence[bool]) -> list[int]:
    """Sort candidates by the sum of their ranks under several proxies, the first to prune first.

    Args:
        changes: one list of relative changes per proxy.
        higher_is_better: the direction of each proxy.

    Returns:
        Indices of the candidates. The order of the first proxy breaks ties of sums.
    """
    by_proxy = [rank_changes(values, higher) for values, higher in zip(changes, higher_is_better, strict=True)]
    totals = [sum(parts) for parts in zip(*(ranks for _, ranks in by_proxy), strict=True)]
    return sorted(by_proxy[0][0], key=lambda i: totals[i])


def first_of_each_edge(
    candidates: Sequence[Candidate],
    order: Sequence[int],
    alive: Alive,
    number: int,
    keeps: Callable[[Sequence[Candidate]], bool] = lambda pruned: True,
) -> list[Candidate]:
    """Return the first candidates of each edge, but leave each edge one op.

    Args:
        candidates: the candidates.
        order: their indices, the first to prune first.
        alive: the ops that each edge still has.
        number: number of candidates per edge. As in the authors' code, the number of ops on the first edge of the first
            cell type limits it for all edges.
        keeps: returns whether candidates may be pruned together. Candidates that it rejects together with the earlier
            ones are left out.
    """
    number = min(number, max(sum(next(iter(alive.values()))[0]) - 1, 1))
    chosen: dict[tuple[str, int], list[Candidate]] = {}
    for i in order:
        name, edge, _ = candidates[i]
        taken = chosen.setdefault((name, edge), [])
        room = len(taken) < min(number, sum(alive[name][edge]) - 1)
        if room and keeps([*(one for others in chosen.values() for one in others), candidates[i]]):
            taken.append(candidates[i])
    return [candidate for taken in chosen.values() for candidate in taken]
