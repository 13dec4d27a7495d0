"""Parameters and multiply-adds of the final network of a genotype, as costs."""

from __future__ import annotations

from typing import Any

from nas.architecture.cell import Genotype
from nas.spaces.base import Space


class NetworkCounter:
    """Parameters and multiply-adds of the networks that ``Space.network`` builds, counted once per genotype.

    Args:
        space: search space, at the shape of the data set.
        options: options of ``Space.network``, the group ``network`` of a training; others have their published values.
    """

    def __init__(self, space: Space, **options: Any) -> None:
        self.space = space
        self.options = options
        self._counted: dict[Genotype, tuple[int, int]] = {}

    def __call__(self, genotype: Genotype) -> tuple[int, int]:
        """Return the parameters (without an auxiliary head) and the multiply-adds for one input."""
        if genotype not in self._counted:
            self._counted[genotype] = self.space.count(genotype, **self.options)
        return self._counted[genotype]


class NetworkParameters:
    """Number of parameters of the final network, without an auxiliary head. Implements ``GenotypeCost``."""

    name = "parameters"
    unit = "parameters"

    def __init__(self, counter: NetworkCounter) -> None:
        self.counter = counter

    def __call__(self, genotype: Genotype) -> float:
        return float(self.counter(genotype)[0])


class NetworkMacs:
    """Multiply-adds of the final network for one input, by the rule of its space. Implements ``GenotypeCost``.

    They are equal to the entry ``macs`` of summary.json, and to the published figures of a tabular benchmark.
    """

    name = "macs"
    unit = "multiply-adds"

    def __init__(self, counter: NetworkCounter) -> None:
        self.counter = counter

    def __call__(self, genotype: Genotype) -> float:
        return float(self.counter(genotype)[1])


def network_costs(space: Space, **options: Any) -> tuple[NetworkParameters, NetworkMacs]:
    """Return the costs in parameters and multiply-adds, which share their counts.

    Args:
        space: search space.
        options: options of ``Space.network``; others have their published values.
    """
    counter = NetworkCounter(space, **options)
    return NetworkParameters(counter), NetworkMacs(counter)
