"""Change of a genotype, node by node, until its cost is low enough; for costs that are no sums over links."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from nas.architecture.cell import Cell, CellGenotype, Genotype
from nas.architecture.top_genotypes import Choice, node_choices

Excess = Callable[[Genotype], float]
"""Maps a genotype to a number that is at most 0 if its cost is low enough."""
Group = tuple[str, list[Choice]]
"""Cell type and choices of a node (of an edge, if a node keeps all), best first."""


def repair(cells: Mapping[str, Cell], scores: Mapping[str, Tensor], notation: str, excess: Excess) -> Genotype | None:
    """Return a genotype without excess, starting from the one with the highest sum of scores.

    Each step changes the choice of one node: the one that saves most excess per lost score. The result is not
    necessarily the best genotype. None if no single change saves any excess before it is 0.

    Args:
        cells: the cells by type.
        scores: [edges, ops] by cell type.
        notation: notation of the genotypes.
        excess: excess of a genotype over what is allowed.
    """
    groups = _groups(cells, scores)
    state = (0,) * len(groups)
    remaining = excess(_genotype(cells, groups, state, notation))
    while remaining > 0:
        best: tuple[float, float, tuple[int, ...]] | None = None
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
    cells: Mapping[str, Cell], notation: str, cost: Callable[[Genotype], float], start: Genotype | None = None
) -> Genotype:
    """Return a genotype whose cost no change of a single node lowers, from a given one or the first of the cells."""
    scores = {name: torch.zeros(len(cell.edges), len(cell.ops)) for name, cell in cells.items()}
    groups = _groups(cells, scores)
    state = (0,) * len(groups) if start is None else _state(groups, start)
    lowest, improved = float("inf"), True
    while improved:
        improved = False
        for other in [state, *(other for other, _ in _neighbors(groups, state))]:
            if (found := cost(_genotype(cells, groups, other, notation))) < lowest:
                state, lowest, improved = other, found, True
    return _genotype(cells, groups, state, notation)


def _groups(cells: Mapping[str, Cell], scores: Mapping[str, Tensor]) -> list[Group]:
    return [(name, choices) for name, cell in cells.items() for choices in node_choices(cell, scores[name])]


def _state(groups: list[Group], genotype: Genotype) -> tuple[int, ...]:
    """Return the positions of the choices of a genotype, 0 for a node whose links are no choice."""
    links = {name: set(cell.links) for name, cell in genotype.cells.items()}
    return tuple(
        next((i for i, (_, choice) in enumerate(choices) if links[name].issuperset(choice)), 0)
        for name, choices in groups
    )


def _neighbors(groups: list[Group], state: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], float]]:
    """Yield the states with another choice of one node, and the score that each loses."""
    for g, (_, choices) in enumerate(groups):
        for i in range(len(choices)):
            if i != state[g]:
                yield (*state[:g], i, *state[g + 1 :]), choices[state[g]][0] - choices[i][0]


def _genotype(cells: Mapping[str, Cell], groups: list[Group], state: tuple[int, ...], notation: str) -> Genotype:
    chosen = [(name, choices[i][1]) for (name, choices), i in zip(groups, state, strict=True)]
    return Genotype(
        notation,
        {
            kind: CellGenotype(tuple(link for name, links in chosen if name == kind for link in links), cell.output)
            for kind, cell in cells.items()
        },
    )
