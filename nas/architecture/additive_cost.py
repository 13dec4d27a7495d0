"""Costs of genotypes as sums over their links: multiply-adds and parameters of most spaces."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from nas.architecture.cell import NONE, Cell, CellGenotype, Genotype, Link, sample_cell
from nas.architecture.cost import GenotypeCost

CHECKED = 4
"""Random genotypes on which the sum must equal the cost."""
TOLERANCE = 1e-6
"""Relative difference of a sum from the cost that counts as equal."""
PER_LINK = 4
"""Random genotypes per link of an approximation."""

LinkKey = Callable[[str, Link], Hashable]
"""Maps a cell type and a link to a key that is shared by links of equal cost."""


class AdditiveCost:
    """The cost of a genotype as ``base`` plus the costs of its links.

    Attributes:
        tables: costs [edges, ops] by cell type, float64. The op ``none`` of cells whose genotypes cannot contain it has
            the mean cost of the other ops of its edge, as excluded entries do.
        base: cost of the remaining network.
    """

    def __init__(self, cells: Mapping[str, Cell], link_cost: Callable[[str, Link], float], base: float) -> None:
        self.cells, self.base = cells, base
        self.tables: dict[str, Tensor] = {}
        for name, cell in cells.items():
            table = torch.zeros(len(cell.edges), len(cell.ops), dtype=torch.float64)
            for e, edge in enumerate(cell.edges):
                cost_of_op = {op: link_cost(name, Link(op, *edge)) for op in cell.choices(e)}
                table[e] = sum(cost_of_op.values()) / max(len(cost_of_op), 1)
                for op, value in cost_of_op.items():
                    table[e, cell.ops.index(op)] = value
            self.tables[name] = table
        self._values = {name: table.tolist() for name, table in self.tables.items()}

    def link(self, name: str, link: Link) -> float:
        """Return the cost of a link of a cell type."""
        cell = self.cells[name]
        value: float = self._values[name][cell.edges.index((link.source, link.target))][cell.ops.index(link.op)]
        return value

    def covers(self, genotype: Genotype) -> bool:
        """Return whether the nodes of a genotype have as many links as in a sampled one, all of them in the tables."""
        for name, cell in self.cells.items():
            links = Counter(link.target for link in genotype.cells[name].links)
            required = {node: [e for e in cell.into(node) if cell.choices(e)][: cell.inputs] for node in cell.nodes}
            if genotype.cells[name].output != cell.output or links != {n: len(e) for n, e in required.items() if e}:
                return False
            ops = {edge: cell.choices(e) for e, edge in enumerate(cell.edges)}
            if not all(op in ops.get((source, target), ()) for op, source, target in genotype.cells[name].links):
                return False
        return True

    def __call__(self, genotype: Genotype) -> float:
        """Return the cost of a genotype that it covers."""
        return self.base + sum(self.link(name, one) for name, cell in genotype.cells.items() for one in cell.links)


def fit_additive_cost(
    cost: GenotypeCost, cells: Mapping[str, Cell], notation: str, key: LinkKey | None = None
) -> AdditiveCost | None:
    """Return a cost as a sum over links, None if it is not such a sum.

    The costs of links follow from genotypes that differ from a reference in one link, by least squares. Links of one
    ``key`` have a common cost. The result is compared with the cost of a few random genotypes.

    Args:
        cost: the cost.
        cells: the cells by type.
        notation: notation of the genotypes.
        key: keys of the links; None: each link has its own cost.
    """

    genotypes = list(_one_link_changes(cells, notation, _common_key(key)))
    fitted = _least_squares(cost, cells, genotypes, key)
    rng = random.Random(0)
    checked = genotypes + [_sample(cells, notation, rng) for _ in range(CHECKED)]
    scale = max(abs(cost(genotype)) for genotype in checked)
    if all(abs(fitted(genotype) - cost(genotype)) <= TOLERANCE * scale for genotype in checked):
        return fitted
    return None if key is None else fit_additive_cost(cost, cells, notation)


def approximate_additive_cost(
    cost: GenotypeCost, cells: Mapping[str, Cell], sample: Callable[[random.Random], Genotype]
) -> AdditiveCost:
    """Return the sum over links that is closest to a cost on sampled genotypes, in the sense of least squares."""
    rng = random.Random(0)
    count = PER_LINK * sum(len(cell.choices(e)) for cell in cells.values() for e in range(len(cell.edges)))
    return _least_squares(cost, cells, [sample(rng) for _ in range(count)], None)


def _common_key(key: LinkKey | None) -> LinkKey:
    """Return a key that differs between cell types."""
    return lambda name, link: (name, link if key is None else key(name, link))


def _least_squares(
    cost: GenotypeCost, cells: Mapping[str, Cell], genotypes: Sequence[Genotype], key: LinkKey | None
) -> AdditiveCost:
    """Return the sum over links with the smallest squared error on ``genotypes``, and the least norm of its costs."""
    common = _common_key(key)
    columns: dict[Hashable, int] = {}
    for name, cell in cells.items():
        for e, edge in enumerate(cell.edges):
            for op in cell.choices(e):
                columns.setdefault(common(name, Link(op, *edge)), len(columns) + 1)
    matrix = np.zeros((len(genotypes), len(columns) + 1))
    matrix[:, 0] = 1.0
    for row, genotype in enumerate(genotypes):
        for name, chosen in genotype.cells.items():
            for link in chosen.links:
                matrix[row, columns[common(name, link)]] += 1
    values = np.array([cost(genotype) for genotype in genotypes])
    scale = float(np.abs(values).max()) or 1.0
    solution = np.linalg.lstsq(matrix, values / scale, rcond=None)[0] * scale
    return AdditiveCost(cells, lambda name, link: float(solution[columns[common(name, link)]]), float(solution[0]))


def _sample(cells: Mapping[str, Cell], notation: str, rng: random.Random) -> Genotype:
    return Genotype(notation, {name: sample_cell(cell, rng) for name, cell in cells.items()})


def _one_link_changes(
    cells: Mapping[str, Cell], notation: str, key: Callable[[str, Link], Hashable]
) -> Iterator[Genotype]:
    """Yield a reference genotype, and genotypes with one other link for each pair of keys of the two links."""
    reference = {name: _first_links(cell) for name, cell in cells.items()}
    yield Genotype(notation, _cells(cells, reference))
    seen: set[tuple[Hashable, Hashable]] = set()
    for name, cell in cells.items():
        for old, new in _changes(cell, reference[name]):
            pair = key(name, old), key(name, new)
            if pair[0] != pair[1] and pair not in seen:
                seen.add(pair)
                links = [new if link == old else link for link in reference[name]]
                yield Genotype(notation, _cells(cells, {**reference, name: links}))


def _changes(cell: Cell, reference: list[Link]) -> Iterator[tuple[Link, Link]]:
    """Yield pairs of a link of the reference and one that may replace it, so that all sums are determined."""
    for node in cell.nodes:
        links = [link for link in reference if link.target == node]
        taken = {(link.source, node): link for link in links}
        for position, e in enumerate(e for e in cell.into(node) if cell.choices(e)):
            options = [Link(op, *cell.edges[e]) for op in cell.choices(e)]
            old = taken.get(cell.edges[e])
            yield from ((old or links[0], new) for new in options if new != old)
            if position == len(links):  # an edge that the reference does not take relates the costs of those it takes
                yield from ((other, options[0]) for other in links[1:])


def _first_links(cell: Cell) -> list[Link]:
    links: list[Link] = []
    for node in cell.nodes:
        edges = [e for e in cell.into(node) if cell.choices(e)][: cell.inputs]
        for e in edges:
            ops = cell.choices(e)
            links.append(Link(next((op for op in ops if op != NONE), ops[0]), *cell.edges[e]))
    return links


def _cells(cells: Mapping[str, Cell], links: Mapping[str, list[Link]]) -> dict[str, CellGenotype]:
    order = {name: cell.edges.index for name, cell in cells.items()}
    return {
        name: CellGenotype(
            tuple(sorted(links[name], key=lambda link: order[name]((link.source, link.target)))), cell.output
        )
        for name, cell in cells.items()
    }
