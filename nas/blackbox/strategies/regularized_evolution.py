"""Regularized evolution (Real et al., AAAI 2019)."""

from __future__ import annotations

import random
from collections import deque

from nas.architecture.cell import Genotype
from nas.blackbox.mutations import mutate
from nas.blackbox.strategies.base import Strategy
from nas.spaces.base import Space
from nas.utils.errors import NasError


class RegularizedEvolution(Strategy):
    """A population whose oldest member dies: the best of a random ``sample`` of it, drawn with replacement, is mutated.

    The first ``population`` members are random. ``by_node`` draws the node of a mutation before its edge, as the
    code of NAS-Bench-201 does; otherwise all edges are as likely.
    """

    def __init__(self, space: Space, population: int = 10, sample: int = 3, by_node: bool = False) -> None:
        super().__init__(space)
        if min(population, sample) < 1:
            raise NasError(f"population={population}, sample={sample}: both must be at least 1")
        self.size = population
        self.sample = sample
        self.by_node = by_node
        self.population: deque[tuple[Genotype, float]] = deque(maxlen=population)

    def ask(self, rng: random.Random) -> Genotype:
        if len(self.population) < self.size:
            return self.space.sample(rng)
        drawn = [self.population[rng.randrange(self.size)] for _ in range(self.sample)]
        parent, _ = max(drawn, key=lambda member: member[1])
        return mutate(self.space, parent, rng, self.by_node)

    def tell(self, genotype: Genotype, value: float) -> None:
        self.population.append((genotype, value))
