"""Genotypes that together contain all options of a space."""

from __future__ import annotations

import random
from collections.abc import Hashable
from itertools import combinations

from nas.architecture.cell import Genotype
from nas.spaces.base import Space

CANDIDATES = 20
"""Samples among which each genotype is selected."""
PATIENCE = 50
"""Consecutive selections without a new option after which all options are assumed to be found."""


def covering_genotypes(space: Space, pairs: bool = False) -> list[Genotype]:
    """Return genotypes that contain each op on each edge, or each pair of such links that can occur together.

    Genotypes are random samples of a fixed seed, selected by their number of new options.

    Args:
        space: search space.
        pairs: cover all pairs of links instead of single ones.
    """
    rng = random.Random(0)
    covered: set[Hashable] = set()
    genotypes: list[Genotype] = []
    without = 0
    while without < PATIENCE:
        samples = [(genotype, _options(genotype, pairs)) for genotype in (space.sample(rng) for _ in range(CANDIDATES))]
        genotype, options = max(samples, key=lambda sample: len(sample[1] - covered))
        without = 0 if options - covered else without + 1
        if options - covered:
            covered |= options
            genotypes.append(genotype)
    return genotypes


def _options(genotype: Genotype, pairs: bool) -> set[Hashable]:
    links = [(name, link) for name, cell in sorted(genotype.cells.items()) for link in cell.links]
    return set(combinations(links, 2)) if pairs else set(links)
