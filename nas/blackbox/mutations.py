"""Small changes of a genotype: one link gets another op or, where nodes choose their edges, another edge."""

from __future__ import annotations

import random
from collections.abc import Iterator

from nas.architecture.cell import Cell, CellGenotype, Genotype, Link
from nas.spaces.base import Space
from nas.utils.errors import NasError


def op_changes(cell: Cell, chosen: CellGenotype, position: int) -> list[Link]:
    """The link at ``position`` with each other op that its edge offers."""
    op, source, target = chosen.links[position]
    choices = cell.choices(cell.edges.index((source, target)))
    return [Link(other, source, target) for other in choices if other != op]


def edge_moves(cell: Cell, chosen: CellGenotype, position: int) -> list[Link]:
    """The link at ``position`` on each edge into its node that is free, where a node does not take all of them.

    The op moves along; where the other edge does not offer it, there is one link for each op that it offers.
    """
    op, _, target = chosen.links[position]
    if cell.inputs is None:
        return []
    taken = {link.source for link in chosen.links if link.target == target}
    found: list[Link] = []
    for edge in cell.into(target):
        source, choices = cell.edges[edge][0], cell.choices(edge)
        if source not in taken:
            found += [Link(other, source, target) for other in ([op] if op in choices else choices)]
    return found


def with_link(cell: Cell, chosen: CellGenotype, position: int, link: Link) -> CellGenotype:
    """The cell genotype with another link at ``position``, the links in the order of the table's edges."""
    links = [link if i == position else other for i, other in enumerate(chosen.links)]
    links.sort(key=lambda one: cell.edges.index((one.source, one.target)))
    return CellGenotype(tuple(links), chosen.output)


def neighbors(space: Space, genotype: Genotype) -> Iterator[Genotype]:
    """All genotypes that one change makes, each of them once."""
    for name, chosen in genotype.cells.items():
        cell = space.cells[name]
        for position in range(len(chosen.links)):
            for link in op_changes(cell, chosen, position) + edge_moves(cell, chosen, position):
                yield _replaced(genotype, name, with_link(cell, chosen, position, link))


def mutate(space: Space, genotype: Genotype, rng: random.Random, by_node: bool = False) -> Genotype:
    """One change at random: a link drawn uniformly, then op or edge where both can change, then to what.

    ``by_node`` draws a node first and then one of its links, so that links into early nodes change more often.

    Raises:
        NasError: where the space has no other genotype.
    """
    left = [(name, i) for name, chosen in genotype.cells.items() for i in range(len(chosen.links))]
    while left:
        name, position = _drawn(genotype, left, rng, by_node)
        cell, chosen = space.cells[name], genotype.cells[name]
        kinds = [links for links in (f(cell, chosen, position) for f in (op_changes, edge_moves)) if links]
        if kinds:
            links = kinds[0] if len(kinds) == 1 else rng.choice(kinds)
            return _replaced(genotype, name, with_link(cell, chosen, position, rng.choice(links)))
        left.remove((name, position))
    raise NasError(f"space '{space.name}' offers nothing to change in {space.native(genotype)}: it has one genotype")


def _drawn(genotype: Genotype, left: list[tuple[str, int]], rng: random.Random, by_node: bool) -> tuple[str, int]:
    if not by_node:
        return rng.choice(left)
    node = rng.choice(list(dict.fromkeys((name, genotype.cells[name].links[i].target) for name, i in left)))
    return rng.choice([(name, i) for name, i in left if (name, genotype.cells[name].links[i].target) == node])


def _replaced(genotype: Genotype, name: str, chosen: CellGenotype) -> Genotype:
    return Genotype(genotype.space, {**genotype.cells, name: chosen})
