"""Random search (Li and Talwalkar, UAI 2019)."""

from __future__ import annotations

import random

from nas.architecture.cell import Genotype
from nas.blackbox.strategies.base import Strategy


class RandomSearch(Strategy):
    """Uniform samples of the space, with replacement."""

    def ask(self, rng: random.Random) -> Genotype:
        return self.sample_allowed(rng)

    def tell(self, genotype: Genotype, value: float) -> None:
        pass
