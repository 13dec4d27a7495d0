"""Interface of a search strategy."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import Any

from nas.architecture.cell import Genotype
from nas.spaces.base import Space
from nas.spaces.limits import Limits


class Strategy(ABC):
    """Ask-and-tell strategy. All randomness comes from the generator passed to ``ask``.

    A strategy therefore needs no state in a checkpoint: the same calls restore the same state.

    Several genotypes may be evaluated at the same time. Then ``ask`` is called again before ``tell``, and values arrive
    in any order.

    Attributes:
        rungs: number of fidelities among which the strategy selects, if the evaluator has several.
        rung: fidelity of the last proposal; 0 is the cheapest.
        details: data of the last proposal that ``tell`` needs. Before a call of ``tell``, ``rung`` and
            ``details`` are set to their values after the call of ``ask`` that returned the genotype.
        limits: limits on the costs of the genotypes that ``ask`` returns; None: no limits.
    """

    rungs: int = 1
    rung: int = 0
    details: Any = None
    limits: Limits | None = None

    def __init__(self, space: Space) -> None:
        self.space = space

    def allows(self, genotype: Genotype) -> bool:
        """Return whether a genotype is within the limits."""
        return self.limits is None or self.limits.allows(genotype)

    def sample_allowed(self, rng: random.Random) -> Genotype:
        """Sample uniformly from the genotypes within the limits. Raises NasError if sampling finds none."""
        return self.space.sample(rng) if self.limits is None else self.limits.sample(rng)

    @abstractmethod
    def ask(self, rng: random.Random) -> Genotype | None:
        """Return the genotype to evaluate next; None to wait for the value of an earlier one.

        A call that returns None changes nothing, the generator included. If all values are known, a genotype is
        returned.
        """

    @abstractmethod
    def tell(self, genotype: Genotype, value: float) -> None:
        """Receive the value of a genotype; higher is better, -inf for a value that is not finite."""

    def tell_result(self, genotype: Genotype, value: float, tie: float) -> None:
        """Receive the value together with a number that orders genotypes of equal values; higher is better."""
        self.tell(genotype, value)
