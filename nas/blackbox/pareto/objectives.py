"""Objectives of a Pareto search: the value of the evaluator, and costs of the genotype."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nas.architecture.cell import Genotype
from nas.architecture.cost import GenotypeCost
from nas.blackbox.pareto.cost_sources import CostSources
from nas.spaces.base import Space
from nas.utils.errors import NasError

VALUE = "value"
MOST = 5
"""Objectives at most, because the exact hypervolume of more is slow."""


@dataclass(frozen=True)
class Objective:
    """One objective.

    Attributes:
        name: ``value``, the value of the evaluator, which is maximized, or the name of a cost, which is minimized.
        cost: the cost; None for the value.
    """

    name: str
    cost: GenotypeCost | None = None

    @property
    def maximize(self) -> bool:
        """True if higher is better."""
        return self.cost is None

    def of(self, genotype: Genotype, value: float) -> float:
        """Return the objective of a genotype with a value of the evaluator."""
        return value if self.cost is None else self.cost(genotype)


class Objectives:
    """At least two objectives of a space.

    Args:
        space: search space.
        names: names of the objectives: ``value``, ``macs``, ``parameters``, ``latency_ms``, or a cost of HW-NAS-Bench
            such as ``hw_nas_bench.pixel3_latency``.
        sources: sources of the costs.

    Raises:
        NasError: if a name is unknown or occurs twice, or an objective, the latency table or HW-NAS-Bench is missing.
    """

    def __init__(self, space: Space, names: Sequence[str], sources: CostSources | None = None) -> None:
        if len(names) < 2 or len(set(names)) < len(names) or VALUE not in names or len(names) > MOST:
            raise NasError(
                f"method.objectives={list(names)}: use value and up to {MOST - 1} costs, each once, as in [value,macs]."
            )
        wanted = [name for name in names if name != VALUE]
        costs = (sources or CostSources()).costs(space, wanted, f"method.objectives={list(names)}")
        self.items = [Objective(name, costs.get(name)) for name in names]

    @property
    def names(self) -> list[str]:
        """Names in order."""
        return [objective.name for objective in self.items]

    def of(self, genotype: Genotype, value: float) -> tuple[float, ...]:
        """Return the objectives of a genotype with a value of the evaluator, in their own directions."""
        return tuple(objective.of(genotype, value) for objective in self.items)

    def to_losses(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return objectives as losses, all of which are minimized."""
        pairs = zip(self.items, values, strict=True)
        return tuple(-value if objective.maximize else value for objective, value in pairs)

    def losses(self, genotype: Genotype, value: float) -> tuple[float, ...] | None:
        """Return the losses of a genotype, None if one of them is not finite."""
        losses = self.to_losses(self.of(genotype, value)) if math.isfinite(value) else (math.nan,)
        return losses if all(map(math.isfinite, losses)) else None
