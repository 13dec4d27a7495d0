"""Interface of a search strategy."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod

from nas.architecture.cell import Genotype
from nas.spaces.base import Space


class Strategy(ABC):
    """Ask-and-tell strategy. All randomness comes from the generator passed to ``ask``.

    A strategy therefore needs no state in a checkpoint: the same calls restore the same state.

    Attributes:
        rungs: Number of fidelities among which the strategy selects, if the evaluator has several.
        rung: Fidelity of the last genotype asked for; 0 is the cheapest.
    """

    rungs: int = 1
    rung: int = 0

    def __init__(self, space: Space) -> None:
        self.space = space

    @abstractmethod
    def ask(self, rng: random.Random) -> Genotype:
        """Return the genotype to evaluate next."""

    @abstractmethod
    def tell(self, genotype: Genotype, value: float) -> None:
        """Receive the value of the last genotype asked for; higher is better, -inf for a value that is not finite."""
