"""What a search strategy must offer."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod

from nas.architecture.cell import Genotype
from nas.spaces.base import Space


class Strategy(ABC):
    """Proposes genotypes and learns their values. All it draws comes from the generator that ``ask`` is given.

    So a strategy needs no state of its own in a checkpoint: asked and told the same again, it is the same again.
    """

    rungs: int = 1
    """How many fidelities it asks for, where the evaluator has several."""
    rung: int = 0
    """That of the genotype asked for last, 0 being the cheapest."""

    def __init__(self, space: Space) -> None:
        self.space = space

    @abstractmethod
    def ask(self, rng: random.Random) -> Genotype:
        """The genotype to be evaluated next."""

    @abstractmethod
    def tell(self, genotype: Genotype, value: float) -> None:
        """The value of the genotype asked for last; bigger is better, -inf where the evaluation gave no number."""
