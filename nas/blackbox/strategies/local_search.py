"""Local search (White et al., UAI 2021)."""

from __future__ import annotations

import random

from nas.architecture.cell import Genotype
from nas.blackbox.mutations import neighbors
from nas.blackbox.strategies.base import Strategy
from nas.spaces.base import Space


class LocalSearch(Strategy):
    """From a random genotype to its best neighbor, as long as that is better; then from another random one.

    All neighbors are evaluated, in random order, before a step is taken, except those whose value is known from
    before. ``optima`` lists the local optima reached.
    """

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        self.optima: list[Genotype] = []
        self._known: dict[Genotype, float] = {}
        self._current: Genotype | None = None
        self._around: list[Genotype] | None = None
        self._left: list[Genotype] = []

    def ask(self, rng: random.Random) -> Genotype:
        while self._current is not None:
            if self._around is None:
                self._around = list(neighbors(self.space, self._current))
                self._left = [genotype for genotype in self._around if genotype not in self._known]
                rng.shuffle(self._left)
            if self._left:
                return self._left.pop()
            self._step()
        return self.space.sample(rng)

    def tell(self, genotype: Genotype, value: float) -> None:
        self._known[genotype] = value
        if self._current is None:
            self._current = genotype

    def _step(self) -> None:
        assert self._current is not None
        best = max(self._around or (), key=self._known.__getitem__, default=self._current)
        if self._known[best] > self._known[self._current]:
            self._current = best
        else:
            self.optima.append(self._current)
            self._current = None
        self._around = None
