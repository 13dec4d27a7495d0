"""Choice of one point of a Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nas.blackbox.pareto.front import Points
from nas.blackbox.pareto.objectives import VALUE, Objectives
from nas.utils.errors import NasError, unknown
from nas.utils.ranges import FINITE, NOT_NEGATIVE, check_ranges

Rule = Literal["knee", "value", "weights"]


@check_ranges(limits=FINITE, weights=NOT_NEGATIVE)
@dataclass(frozen=True)
class PickRule:
    """Rule that selects one point of a front.

    Objectives are scaled to 0 (worst of the front) to 1 (best of the front). ``knee`` selects the point with the
    largest sum. With two objectives it is the farthest one from the line through both ends of the front (Das,
    Structural Optimization 18, 1999). ``weights`` selects the largest weighted sum. ``value`` selects the best value
    of the evaluator.

    Args:
        rule: ``knee``, ``value`` or ``weights``.
        limits: upper bounds of costs by name, and lower bound of ``value``; only points within them are selected. If
            there are none, the point with the smallest relative violation is selected.
        weights: weight of each objective by name, for the rule ``weights``; 0 for others.

    Raises:
        NasError: if the rule is unknown, weights are missing or superfluous, or a number is out of range.
    """

    rule: Rule = "knee"
    limits: Mapping[str, float] | None = None
    weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if (self.rule == "weights") != bool(self.weights):
            raise NasError(f"method.pick.weights={self.weights}: set them together with method.pick.rule=weights.")

    def check(self, objectives: Objectives) -> None:
        """Raise NasError for a name that is not an objective."""
        for key, given in (("limits", self.limits), ("weights", self.weights)):
            for name in given or ():
                if name not in objectives.names:
                    raise unknown(f"method.pick.{key}: objective", name, objectives.names)

    def __call__(self, front: Points, objectives: Objectives) -> int:
        """Return the index of the selected point.

        Args:
            front: losses [points, objectives] of non-dominated points.
            objectives: the objectives.
        """
        excess = self._excess(front, objectives)
        allowed = np.flatnonzero(excess <= 0) if (excess <= 0).any() else np.flatnonzero(excess == excess.min())
        scores = self._scores(front, objectives)[allowed]
        return int(allowed[int(scores.argmax())])

    def _excess(self, front: Points, objectives: Objectives) -> Points:
        """Return the largest relative violation of a limit by each point [points], at most 0 within the limits."""
        excess = np.full(len(front), -np.inf)
        for position, objective in enumerate(objectives.items):
            limit = (self.limits or {}).get(objective.name)
            if limit is not None:
                bound = -limit if objective.maximize else limit
                excess = np.maximum(excess, (front[:, position] - bound) / (abs(limit) or 1.0))
        return excess

    def _scores(self, front: Points, objectives: Objectives) -> Points:
        if self.rule == "value":
            return -front[:, objectives.names.index(VALUE)]
        low, high = front.min(axis=0), front.max(axis=0)
        scaled = (high - front) / np.where(high > low, high - low, 1.0)
        return scaled @ np.array(_weights(self.weights, objectives.names))


def _weights(given: Mapping[str, float] | None, names: Sequence[str]) -> list[float]:
    return [1.0 if given is None else float(given.get(name, 0.0)) for name in names]
