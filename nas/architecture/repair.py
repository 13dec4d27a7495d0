"""Change of a genotype, node by node, until its cost is low enough; for costs that are not sums over links."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

import torch
from torch import Tensor

from nas.architecture.cell import Cell, CellGenotype, Genotype
from nas.architecture.top_genotypes import Choice, node_choices

Excess = Callable[[Genotype], float]
"""Maps a genotype to a number that is at most 0 if its cost is low enough."""
Group = tuple[str, list[Choice]]
"""Cell type and choices of a node (of an edge, if a node keeps all), best first."""
State = tuple[int, ...]
"""Position of the choice of each group."""
MAX_PAIRS = 2_000
"""Changes of two nodes that are examined; a larger space has more of them than can be counted in seconds."""


def repair(cells: Mapping[str, Cell], scores: Mapping[str, Tensor], notation: str, excess: Excess) -> Genotype | None:
    """Return a genotype without excess, starting from the genotype with the highest sum of scores.

    Each step changes the choice of one node: the choice that saves most excess per lost score. The result is not
    necessarily the best genotype. None if no single change saves any excess before it is 0.

    Args:
        cells: the cells by type.
        scores: [edges, ops] by cell type.
        notation: notation of the genotypes.
        excess: excess of a genotype over the limits.
    """
    groups = _groups(cells, scores)
    state = (0,) * len(groups)
    remaining = excess(_genotype(cells, groups, state, notation))
    while remaining > 0:
        best: tuple[float, float, State] | None = None
        for other, lost in _neighbors(groups, state):
            after = excess(_genotype(cells, groups, other, notation))
            saved = remaining - max(after, 0.0)
            if saved > 0 and (best is None or saved / max(lost, 1e-9) > best[0]):
                best = saved / max(lost, 1e-9), after, other
        if best is None:
            return None
        _, remaining, state = best
    return _genotype(cells, groups, state, notation)


def cheapest(
    cells: Mapping[str, Cell], notation: str, cost: Callable[[Genotype], float], starts: Sequence[Genotype] = ()
) -> Genotype:
    """Return a genotype whose cost is a local minimum: no change of one or two nodes lowers it.

    Descents from all starts change one node at a time. The best of them is then improved by changes of two nodes, which
    reach genotypes behind inadmissible genotypes. They are left out if a genotype has more than
    ``MAX_PAIRS`` of them.

    Args:
        cells: the cells by type.
        notation: notation of the genotypes.
        cost: cost of a genotype, infinite outside the space.
        starts: genotypes at which descents begin; none: the first genotype of the cells.
    """
    groups = _groups(cells, {name: torch.zeros(len(cell.edges), len(cell.ops)) for name, cell in cells.items()})

    @cache
    def known(state: State) -> float:
        return cost(_genotype(cells, groups, state, notation))

    first = [_state(groups, start) for start in starts] or [(0,) * len(groups)]
    state = min((_descend(groups, start, known) for start in first), key=known)
    while better := next((pair for pair in _pairs(groups, state) if known(pair) < known(state)), None):
        state = _descend(groups, better, known)
    return _genotype(cells, groups, state, notation)


def _descend(groups: list[Group], state: State, cost: Callable[[State], float]) -> State:
    """Repeat the change of a single node that lowers the cost most, until no change lowers it."""
    while True:
        best = min([state, *(other for other, _ in _neighbors(groups, state))], key=cost)
        if cost(best) >= cost(state):
            return state
        state = best


def _groups(cells: Mapping[str, Cell], scores: Mapping[str, Tensor]) -> list[Group]:
    return [(name, choices) for name, cell in cells.items() for choices in node_choices(cell, scores[name])]


def _state(groups: list[Group], genotype: Genotype) -> State:
    """Return the positions of the choices of a genotype, 0 for a node whose links are no choice."""
    links = {name: set(cell.links) for name, cell in genotype.cells.items()}
    return tuple(
        next((i for i, (_, choice) in enumerate(choices) if links[name].issuperset(choice)), 0)
        for name, choices in groups
    )


def _neighbors(groups: list[Group], state: State) -> Iterator[tuple[State, float]]:
    """Yield the states with another choice of one node, and the score that each loses."""
    for g, (_, choices) in enumerate(groups):
        for i in range(len(choices)):
            if i != state[g]:
                yield (*state[:g], i, *state[g + 1 :]), choices[state[g]][0] - choices[i][0]


def _pairs(groups: list[Group], state: State) -> Iterator[State]:
    """Yield the states with another choice of two nodes, none if there are more than ``MAX_PAIRS``."""
    others = [len(choices) - 1 for _, choices in groups]
    if sum(a * b for a, b in itertools.combinations(others, 2)) > MAX_PAIRS:
        return
    for first, second in itertools.combinations(range(len(groups)), 2):
        for i, k in itertools.product(range(others[first] + 1), range(others[second] + 1)):
            if i != state[first] and k != state[second]:
                yield (*state[:first], i, *state[first + 1 : second], k, *state[second + 1 :])


def _genotype(cells: Mapping[str, Cell], groups: list[Group], state: State, notation: str) -> Genotype:
    chosen = [(name, choices[i][1]) for (name, choices), i in zip(groups, state, strict=True)]
    return Genotype(
        notation,
        {
            kind: CellGenotype(tuple(link for name, links in chosen if name == kind for link in links), cell.output)
            for kind, cell in cells.items()
        },
    )
