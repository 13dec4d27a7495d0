"""Interface of the cost of a genotype, such as its multiply-adds or its latency on a device."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from nas.architecture.cell import Genotype


@runtime_checkable
class GenotypeCost(Protocol):
    """Cost of the network that will be trained for a genotype, not of the supernet or its mixed ops.

    A call is deterministic, takes no random numbers, and changes no state except a cache of the same values. It may be
    made many thousand times, so an implementation keeps the cost of each genotype.

    Implementations: ``nas.spaces.network_cost`` counts parameters and multiply-adds in every space. Tables and
    predictors of latency or energy implement the same interface.

    Attributes:
        name: key of the cost in configurations and results, such as "macs", "parameters" or "latency_ms".
        unit: unit of a value in messages, such as "multiply-adds" or "ms".
    """

    name: str
    unit: str

    def __call__(self, genotype: Genotype) -> float:
        """Return the cost in ``unit``, at least 0. Raises NasError for a genotype whose cost is unknown."""
        ...
