"""Interface of BOHB's models, which predict which decisions make good genotypes."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping

from nas.blackbox.encoding import CategoricalEncoding

Choices = Mapping[int, int]
"""Chosen option of each decision that takes part in a genotype, by the decision's index."""


class DecisionModel(ABC):
    """Model of the results of one rung, which proposes promising candidates.

    Args:
        encoding: decisions of the space.
        num_samples: number of candidates among which the model selects one.
        top: fraction of the results that counts as good.
        min_points: minimum number of results that count as good.
    """

    def __init__(self, encoding: CategoricalEncoding, num_samples: int, top: float, min_points: int) -> None:
        self.encoding = encoding
        self.num_samples = num_samples
        self.top = top
        self.min_points = min_points

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Readiness: True once there are enough results."""

    @abstractmethod
    def add(self, choices: Choices, value: float) -> None:
        """Add a result; higher is better, -inf for a value that is not finite."""

    @abstractmethod
    def sample(self, rng: random.Random) -> Choices:
        """Return the selected candidate; it may contain decisions that take no part."""
