"""The genotype with the highest sum of scores whose costs stay within limits: exact for costs that are sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nas.architecture.additive_cost import AdditiveCost
from nas.architecture.cell import Cell, CellGenotype, Link
from nas.architecture.top_genotypes import node_choices

MAX_STATES = 20_000
"""Partial genotypes that are kept after each node. More are thinned, and the result may then miss the best one."""
ROUNDING = 1e-11
"""Relative rounding error of a sum of costs."""

DECIMALS = 9
"""Decimals by which relative costs are compared."""

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class _Group(NamedTuple):
    """Choices of one node: their scores [n], costs [n, limits] and links."""

    name: str
    scores: Floats
    costs: Floats
    links: list[tuple[Link, ...]]


def best_within(
    cells: Mapping[str, Cell], scores: Mapping[str, Tensor], costs: Sequence[AdditiveCost], limits: Sequence[float]
) -> dict[str, CellGenotype] | None:
    """Return the genotype with the highest sum of scores of its links within all limits, None if there is none.

    Dynamic programming over the nodes (over the edges, if a node keeps all). A partial genotype is dropped if another
    one has at least its score at no higher costs, or if no completion stays within the limits. The result is exact
    unless more than ``MAX_STATES`` partial genotypes remain. Then the genotype with the highest score is kept for each
    interval of the costs.

    Args:
        cells: the cells by type; their excluded entries are not chosen.
        scores: [edges, ops] by cell type.
        costs: costs of the same cells; they may contain further entries.
        limits: upper bound of each cost.
    """
    groups = _groups(cells, scores, costs)
    least = np.array([group.costs.min(axis=0) for group in groups])
    remaining = np.array(limits) - np.array([cost.base for cost in costs])
    remaining = remaining + ROUNDING * np.abs(np.array(limits))
    totals, spent = np.zeros(1), np.zeros((1, len(costs)))
    parents: list[tuple[Indices, int]] = []
    for number, group in enumerate(groups):
        spent = (spent[:, None] + group.costs[None]).reshape(-1, len(costs))
        totals = (totals[:, None] + group.scores[None]).reshape(-1)
        kept = np.flatnonzero((spent + least[number + 1 :].sum(axis=0) <= remaining).all(axis=1))
        kept = kept[_undominated(totals[kept], spent[kept])]
        if not len(kept):
            return None
        totals, spent = totals[kept], spent[kept]
        parents.append((kept, len(group.scores)))
    state = int(totals.argmax())
    chosen: dict[str, list[tuple[Link, ...]]] = {name: [] for name in cells}
    for group, (kept, size) in zip(reversed(groups), reversed(parents), strict=True):
        state, option = divmod(int(kept[state]), size)
        chosen[group.name].insert(0, group.links[option])
    return {
        name: CellGenotype(tuple(link for links in chosen[name] for link in links), cell.output)
        for name, cell in cells.items()
    }


def least_cost(cells: Mapping[str, Cell], cost: AdditiveCost) -> float:
    """Return the lowest cost of all genotypes."""
    scores = {name: -table for name, table in cost.tables.items()}
    return cost.base + sum(float(group.costs.min()) for group in _groups(cells, scores, [cost]))


def _groups(cells: Mapping[str, Cell], scores: Mapping[str, Tensor], costs: Sequence[AdditiveCost]) -> list[_Group]:
    groups = []
    for name, cell in cells.items():
        for choices in node_choices(cell, scores[name]):
            links = [links for _, links in choices]
            table = np.array([[sum(cost.link(name, link) for link in one) for cost in costs] for one in links])
            values = np.array([score for score, _ in choices])
            kept = _undominated(values, table)
            groups.append(_Group(name, values[kept], table[kept], [links[i] for i in kept]))
    return groups


def _undominated(scores: Floats, costs: Floats) -> Indices:
    """Return the indices of states that no other state dominates, thinned to ``MAX_STATES``, best score first."""
    if not len(scores):
        return np.zeros(0, np.int64)
    order = np.lexsort((*costs.T, -scores))
    scale = np.abs(costs).max(axis=0)
    relative = costs[order] / np.where(scale > 0, scale, 1.0)
    order = order[_first_of(np.round(relative, DECIMALS))]
    if len(order) > MAX_STATES:
        relative = costs[order] / np.where(scale > 0, scale, 1.0)
        intervals = int(MAX_STATES ** (1 / costs.shape[1]) / 2)
        order = order[np.union1d(_first_of(np.floor(relative * intervals)), relative.argmin(axis=0))]
    return order[_on_front(costs[order])]


def _first_of(rows: Floats) -> Indices:
    """Return the indices of the first of equal rows, in ascending order."""
    return np.sort(np.unique(rows, axis=0, return_index=True)[1])


def _on_front(costs: Floats) -> Indices:
    """Return the states, in descending order of scores, that no state before them undercuts in all costs."""
    if costs.shape[1] == 1:
        lowest = np.minimum.accumulate(costs[:, 0])
        return np.flatnonzero(np.concatenate(([True], lowest[1:] < lowest[:-1])))
    front = np.empty((0, costs.shape[1]))
    kept = []
    for index, one in enumerate(costs):
        if not (front <= one).all(axis=1).any():
            kept.append(index)
            front = np.vstack((front[~(one <= front).all(axis=1)], one))
    return np.array(kept)
