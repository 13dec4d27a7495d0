"""Model of BOHB (Falkner et al., ICML 2018): kernel densities of the good and the bad results."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.blackbox.encoding import CategoricalEncoding
from nas.blackbox.strategies.decision_model import Choices, DecisionModel

ABSENT = -1
"""Option of a decision that takes no part in a genotype."""
MIN_DENSITY = 1e-32
"""Lower bound of the densities in a ratio."""

Points = NDArray[np.int64]
Values = NDArray[np.float64]


class CategoricalKernels:
    """Product of categorical kernels (Aitchison and Aitken, 1976) around points, with one bandwidth per decision.

    A kernel is 1 - h at its point and h / (levels - 1) elsewhere. The bandwidths h follow the normal reference rule on
    the option numbers, 1.06 std n^(-1 / (4 + d)), and are at least ``min_bandwidth``. Levels are the distinct options
    among the points. This is KDEMultivariate of statsmodels, which the authors' program uses. Two oddities of this rule
    are kept: h may exceed 1, which makes a kernel negative at its point. If all points have the same option (one
    level), the density of any other option is infinite.

    Args:
        points: options [n, d].
        min_bandwidth: lower bound of the bandwidths.
    """

    def __init__(self, points: Points, min_bandwidth: float) -> None:
        n, d = points.shape
        self.points = points
        self.bandwidths: Values = np.maximum(1.06 * points.std(axis=0) * n ** (-1 / (4 + d)), min_bandwidth)
        levels = np.array([len(np.unique(column)) for column in points.T])
        with np.errstate(divide="ignore"):
            self._elsewhere: Values = self.bandwidths / (levels - 1)

    def density(self, candidates: Points) -> Values:
        """Return the densities [m] of candidates [m, d]."""
        same = candidates[:, None, :] == self.points[None]
        with np.errstate(invalid="ignore", over="ignore"):  # 0 x inf and inf - inf, see the class
            densities: Values = np.where(same, 1 - self.bandwidths, self._elsewhere).prod(axis=2).mean(axis=1)
        return densities


class KernelDensityModel(DecisionModel):
    """Selects, among candidates near the good results, the candidate with the highest ratio of good to bad density.

    A candidate is a random good result in which each decision is resampled uniformly with probability h. The model is
    ready once ``min_points`` results are good and as many are bad. Values that are not finite are bad. Decisions that
    take no part in a result (the op of an unused edge) get the options of other results.

    ``bandwidth_factor`` of the authors' program applies to numerical decisions only, of which there are none.

    Args:
        encoding: decisions of the space.
        num_samples: number of candidates.
        top: fraction of the results that counts as good.
        min_points: minimum number of good and of bad results.
        min_bandwidth: lower bound of the bandwidths.
    """

    def __init__(
        self,
        encoding: CategoricalEncoding,
        num_samples: int,
        top: float,
        min_points: int,
        min_bandwidth: float = 0.3,
    ) -> None:
        super().__init__(encoding, num_samples, top, min_points)
        self.min_bandwidth = min_bandwidth
        self._sizes = [decision.size for decision in encoding.decisions]
        self._rows: list[list[int]] = []
        self._values: list[float] = []
        self._densities: tuple[CategoricalKernels, CategoricalKernels] | None = None

    @property
    def ready(self) -> bool:
        return len(self._rows) - self._good_count >= self.min_points

    @property
    def _good_count(self) -> int:
        return max(self.min_points, self._count_of(self.top))

    def _count_of(self, fraction: float) -> int:
        """Return a fraction of the number of results, rounded down; robust to float error (0.29 of 100 is 29)."""
        return math.floor(round(fraction * len(self._rows), 9))

    def add(self, choices: Choices, value: float) -> None:
        self._rows.append([choices.get(number, ABSENT) for number in range(len(self._sizes))])
        self._values.append(value)
        self._densities = None

    def sample(self, rng: random.Random) -> Choices:
        if self._densities is None:
            self._densities = self._fit(rng)
        good, bad = self._densities
        candidates = np.array([self._candidate(good, rng) for _ in range(self.num_samples)])
        best = best_candidate(good.density(candidates), bad.density(candidates))
        if best is None:
            return {number: rng.randrange(size) for number, size in enumerate(self._sizes)}
        return dict(enumerate(candidates[best].tolist()))

    def _candidate(self, good: CategoricalKernels, rng: random.Random) -> list[int]:
        point = good.points[rng.randrange(len(good.points))].tolist()
        return [
            rng.randrange(size) if rng.random() < bandwidth else choice
            for choice, size, bandwidth in zip(point, self._sizes, good.bandwidths, strict=True)
        ]

    def _fit(self, rng: random.Random) -> tuple[CategoricalKernels, CategoricalKernels]:
        """Return the densities of the good and of the bad results."""
        order = sorted(range(len(self._rows)), key=lambda number: -self._values[number])
        good, bad = self._good_count, max(self.min_points, self._count_of(1 - self.top))
        parts = (order[:good], order[good : good + bad])
        return tuple(  # type: ignore[return-value]
            CategoricalKernels(impute([self._rows[number] for number in part], self._sizes, rng), self.min_bandwidth)
            for part in parts
        )


def best_candidate(good: Values, bad: Values) -> int | None:
    """Return the first candidate with the lowest ratio bad / good, None if no ratio is a number.

    A candidate with a finite good density and an infinite ratio (no bad result has one of its options) is returned
    immediately.
    """
    with np.errstate(invalid="ignore"):  # inf / inf
        ratios = np.where(bad > MIN_DENSITY, bad, MIN_DENSITY) / np.where(good < MIN_DENSITY, MIN_DENSITY, good)
    best: int | None = None
    for number, ratio in enumerate(ratios):
        if not math.isfinite(ratio):
            if math.isfinite(good[number]):
                return number
        elif best is None or ratio < ratios[best]:
            best = number
    return best


def impute(rows: Sequence[Sequence[int]], sizes: Sequence[int], rng: random.Random) -> Points:
    """Return the rows [n, d] with options for absent decisions.

    A random row that contains the first absent decision supplies all absent decisions that it contains. A decision that
    no row contains is sampled uniformly.
    """
    complete = np.array(rows, dtype=np.int64)
    donors = [[row for row in rows if row[number] != ABSENT] for number in range(len(sizes))]
    for row in complete:
        while (missing := np.flatnonzero(row == ABSENT)).size:
            first = int(missing[0])
            if donors[first]:
                row[missing] = np.array(rng.choice(donors[first]))[missing]
            else:
                row[first] = rng.randrange(sizes[first])
    return complete
