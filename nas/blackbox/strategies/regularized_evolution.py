"""Regularized evolution (Real et al., AAAI 2019)."""

from __future__ import annotations

import random
from collections import deque

from nas.architecture.cell import Genotype
from nas.blackbox.mutations import mutate
from nas.blackbox.strategies.base import Strategy
from nas.spaces.base import Space
from nas.utils.ranges import COUNT, check_ranges

MAX_MUTATIONS = 100
"""Mutations of a parent that may exceed a limit before a random genotype takes their place."""


@check_ranges(population=COUNT, sample=COUNT)
class RegularizedEvolution(Strategy):
    """Aging evolution: the best of a random sample is mutated, and its child replaces the oldest member.

    Args:
        space: search space.
        population: number of members; the first ones are random.
        sample: number of members sampled per step, with replacement.
        by_node: sample the node of a mutation before its edge, as the code of NAS-Bench-201 does; otherwise all edges
            are equally likely.

    Raises:
        NasError: if ``population`` or ``sample`` is below 1.
    """

    def __init__(self, space: Space, population: int = 10, sample: int = 3, by_node: bool = False) -> None:
        super().__init__(space)
        self.size = population
        self.sample = sample
        self.by_node = by_node
        self.population: deque[tuple[Genotype, float]] = deque(maxlen=population)

    def ask(self, rng: random.Random) -> Genotype:
        if len(self.population) < self.size:
            return self.sample_allowed(rng)
        tournament = [self.population[rng.randrange(self.size)] for _ in range(self.sample)]
        parent, _ = max(tournament, key=lambda member: member[1])
        for _ in range(MAX_MUTATIONS):
            if self.allows(child := mutate(self.space, parent, rng, self.by_node)):
                return child
        return self.sample_allowed(rng)

    def tell(self, genotype: Genotype, value: float) -> None:
        self.population.append((genotype, value))
