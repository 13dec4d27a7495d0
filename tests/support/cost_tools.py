"""Costs of genotypes by formula, for tests of limits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nas.architecture.cell import Cell, Genotype, Link


class LinkCost:
    """A base plus a random whole number per link, and optionally a surplus of the whole genotype."""

    unit = "units"

    def __init__(
        self, cell: Cell, seed: int = 0, name: str = "cost", surplus: Callable[[Genotype], float] = lambda _: 0.0
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        table = torch.randint(1, 50, (len(cell.edges), len(cell.ops)), generator=generator)
        self.values = {
            Link(op, *edge): float(table[e, o]) for e, edge in enumerate(cell.edges) for o, op in enumerate(cell.ops)
        }
        self.name, self.surplus = name, surplus

    def __call__(self, genotype: Genotype) -> float:
        links = [link for cell in genotype.cells.values() for link in cell.links]
        return 100 + sum(self.values[link] for link in links) + self.surplus(genotype)


def total_score(cell: Cell, scores: Tensor, genotype: Genotype) -> float:
    """Return the sum of the scores [edges, ops] of the links of a genotype with one cell."""
    (chosen,) = genotype.cells.values()
    rows = [(cell.edges.index((s, t)), cell.ops.index(op)) for op, s, t in chosen.links]
    return float(sum(scores[e, o] for e, o in rows))
