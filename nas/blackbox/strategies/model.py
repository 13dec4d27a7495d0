"""Models of which decisions make good genotypes: told results, drawn from."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping

from nas.blackbox.encoding import Decisions

Choices = Mapping[int, int]
"""Of each decision that takes part in a genotype, by its number, the choice that was made."""


class Model(ABC):
    """The results of one rung, and candidates that they make likely to be good.

    Args:
        decisions: of the space.
        num_samples: candidates among which the model chooses one.
        top: the share of the results that counts as good.
        min_points: at least so many results count as good.
    """

    def __init__(self, decisions: Decisions, num_samples: int, top: float, min_points: int) -> None:
        self.decisions = decisions
        self.num_samples = num_samples
        self.top = top
        self.min_points = min_points

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether there are results enough."""

    @abstractmethod
    def tell(self, choices: Choices, value: float) -> None:
        """One more result; bigger is better, -inf where the evaluation gave no number."""

    @abstractmethod
    def draw(self, rng: random.Random) -> Choices:
        """The candidate that the model chooses; it may decide more than takes part."""
