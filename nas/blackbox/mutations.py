"""Mutations of a genotype: one link gets another op or, if nodes select their edges, another edge."""

from __future__ import annotations

import random
from collections.abc import Iterator

from nas.architecture.cell import Cell, CellGenotype, Genotype, Link
from nas.spaces.base import Space
from nas.utils.errors import NasError

MAX_ATTEMPTS = 1000
"""Mutations of one genotype that may leave the space before ``mutate`` gives up."""


def op_changes(cell: Cell, genotype: CellGenotype, position: int) -> list[Link]:
    """Return the link at ``position`` with each other op of its edge."""
    op, source, target = genotype.links[position]
    choices = cell.choices(cell.edges.index((source, target)))
    return [Link(other, source, target) for other in choices if other != op]


def edge_changes(cell: Cell, genotype: CellGenotype, position: int) -> list[Link]:
    """Return the link at ``position`` moved to each free edge into its node; empty if the node takes all edges.

    The link keeps its op. If the other edge does not offer this op, there is one link per op that it offers.
    """
    op, _, target = genotype.links[position]
    if cell.inputs is None:
        return []
    taken = {link.source for link in genotype.links if link.target == target}
    changes: list[Link] = []
    for edge in cell.into(target):
        source, choices = cell.edges[edge][0], cell.choices(edge)
        if source not in taken:
            changes += [Link(other, source, target) for other in ([op] if op in choices else choices)]
    return changes


def replace_link(cell: Cell, genotype: CellGenotype, position: int, link: Link) -> CellGenotype:
    """Return the cell genotype with another link at ``position``; links are sorted in the order of the cell's edges."""
    links = [link if i == position else other for i, other in enumerate(genotype.links)]
    links.sort(key=lambda one: cell.edges.index((one.source, one.target)))
    return CellGenotype(tuple(links), genotype.output)


def neighbors(space: Space, genotype: Genotype) -> Iterator[Genotype]:
    """Yield each genotype of the space that differs by one mutation once."""
    for name, cell_genotype in genotype.cells.items():
        cell = space.cells[name]
        for position in range(len(cell_genotype.links)):
            for link in op_changes(cell, cell_genotype, position) + edge_changes(cell, cell_genotype, position):
                other = _replace_cell(genotype, name, replace_link(cell, cell_genotype, position, link))
                if space.admits(other):
                    yield other


def mutate(space: Space, genotype: Genotype, rng: random.Random, by_node: bool = False) -> Genotype:
    """Apply one random mutation; another one if the space does not admit the result.

    A link is sampled uniformly, then the kind of change (op or edge) if both are possible, then the new op or edge.

    Args:
        space: search space.
        genotype: parent.
        rng: random generator.
        by_node: sample a node first and then one of its links, so that links into early nodes change more often.

    Raises:
        NasError: if the space has no other genotype.
    """
    for _ in range(MAX_ATTEMPTS):
        other = _mutate_once(space, genotype, rng, by_node)
        if space.admits(other):
            return other
    raise NasError(f"space={space.name}: found no mutation of {space.native(genotype)} that is in the space")


def _mutate_once(space: Space, genotype: Genotype, rng: random.Random, by_node: bool) -> Genotype:
    remaining = [(name, i) for name, cell in genotype.cells.items() for i in range(len(cell.links))]
    while remaining:
        name, position = _sample_link(genotype, remaining, rng, by_node)
        cell, cell_genotype = space.cells[name], genotype.cells[name]
        kinds = [links for links in (f(cell, cell_genotype, position) for f in (op_changes, edge_changes)) if links]
        if kinds:
            links = kinds[0] if len(kinds) == 1 else rng.choice(kinds)
            return _replace_cell(genotype, name, replace_link(cell, cell_genotype, position, rng.choice(links)))
        remaining.remove((name, position))
    raise NasError(f"space={space.name}: {space.native(genotype)} is its only genotype and cannot be mutated")


def _sample_link(
    genotype: Genotype, candidates: list[tuple[str, int]], rng: random.Random, by_node: bool
) -> tuple[str, int]:
    if not by_node:
        return rng.choice(candidates)
    node = rng.choice(list(dict.fromkeys((name, genotype.cells[name].links[i].target) for name, i in candidates)))
    return rng.choice([(name, i) for name, i in candidates if (name, genotype.cells[name].links[i].target) == node])


def _replace_cell(genotype: Genotype, name: str, cell: CellGenotype) -> Genotype:
    return Genotype(genotype.space, {**genotype.cells, name: cell})
