"""Local search (White et al., UAI 2021)."""

from __future__ import annotations

import random

from nas.architecture.cell import Genotype
from nas.blackbox.mutations import neighbors
from nas.blackbox.strategies.base import Strategy
from nas.spaces.base import Space


class LocalSearch(Strategy):
    """Hill climbing to the best neighbor, restarted from a random genotype at each local optimum.

    Each step evaluates all neighbors whose value is unknown, in random order. They may be evaluated at the same time;
    the next step waits for all of them.

    Attributes:
        optima: local optima reached so far.
    """

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        self.optima: list[Genotype] = []
        self._values: dict[Genotype, float] = {}
        self._current: Genotype | None = None
        self._neighbors: list[Genotype] | None = None
        self._unevaluated: list[Genotype] = []
        self._running = 0

    def ask(self, rng: random.Random) -> Genotype | None:
        if self._running and not self._unevaluated:
            return None
        genotype = self._next(rng)
        self._running += 1
        return genotype

    def _next(self, rng: random.Random) -> Genotype:
        while self._current is not None:
            if self._neighbors is None:
                self._neighbors = list(filter(self.allows, neighbors(self.space, self._current)))
                self._unevaluated = [genotype for genotype in self._neighbors if genotype not in self._values]
                rng.shuffle(self._unevaluated)
            if self._unevaluated:
                return self._unevaluated.pop()
            self._move()
        return self.sample_allowed(rng)

    def tell(self, genotype: Genotype, value: float) -> None:
        self._running -= 1
        self._values[genotype] = value
        if self._current is None:
            self._current = genotype

    def _move(self) -> None:
        assert self._current is not None
        best = max(self._neighbors or (), key=self._values.__getitem__, default=self._current)
        if self._values[best] > self._values[self._current]:
            self._current = best
        else:
            self.optima.append(self._current)
            self._current = None
        self._neighbors = None
