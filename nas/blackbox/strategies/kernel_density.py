"""The model of BOHB (Falkner et al., ICML 2018): kernel densities of the good and of the bad results."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.blackbox.encoding import Decisions
from nas.blackbox.strategies.model import Choices, Model

ABSENT = -1  # a decision that takes no part in a genotype
LEAST = 1e-32  # densities below it are as good as none

Points = NDArray[np.int64]
Values = NDArray[np.float64]


class Kernels:
    """A product of categorical kernels (Aitchison and Aitken, 1976) around points, with a bandwidth a decision.

    A kernel is 1 - h at its point and h / (levels - 1) elsewhere. Bandwidths h are those of the normal reference rule
    as if choices were numbers, 1.06 std n^(-1 / (4 + d)), and not below ``min_bandwidth``; levels are the different
    choices among the points. So it is in statsmodels' KDEMultivariate, on which the authors' program rests. Two
    oddities come of that rule and are kept: h may exceed 1, which makes a kernel negative at its point, and where all
    points agree (one level) the density of any other choice is infinite.

    Args:
        points: [n, d] choices.
    """

    def __init__(self, points: Points, min_bandwidth: float) -> None:
        n, d = points.shape
        self.points = points
        self.bandwidths: Values = np.maximum(1.06 * points.std(axis=0) * n ** (-1 / (4 + d)), min_bandwidth)
        levels = np.array([len(np.unique(column)) for column in points.T])
        with np.errstate(divide="ignore"):
            self._elsewhere: Values = self.bandwidths / (levels - 1)

    def density(self, candidates: Points) -> Values:
        """[m] The densities of candidates [m, d]."""
        same = candidates[:, None, :] == self.points[None]
        with np.errstate(invalid="ignore", over="ignore"):  # 0 x inf and inf - inf, see above
            found: Values = np.where(same, 1 - self.bandwidths, self._elsewhere).prod(axis=2).mean(axis=1)
        return found


class KernelModel(Model):
    """Chooses among candidates from a widened density of the good results the one with the best ratio to the bad ones.

    A candidate is one of the good results in which each decision is drawn anew, uniformly, with probability h: wider
    than the density itself, where that probability is h too but the same choice is not drawn. The model is there once
    ``min_points`` results are good and as many are bad. Results without a number are bad. Of decisions that take no
    part in a result (the op of an edge that its node does not take) those of another result stand in.

    ``bandwidth_factor`` of the authors' program widens numbers only; there are none here.
    """

    def __init__(
        self, decisions: Decisions, num_samples: int, top: float, min_points: int, min_bandwidth: float = 0.3
    ) -> None:
        super().__init__(decisions, num_samples, top, min_points)
        self.min_bandwidth = min_bandwidth
        self._sizes = [decision.size for decision in decisions.all]
        self._rows: list[list[int]] = []
        self._values: list[float] = []
        self._densities: tuple[Kernels, Kernels] | None = None

    @property
    def ready(self) -> bool:
        return len(self._rows) - self._good >= self.min_points

    @property
    def _good(self) -> int:
        return max(self.min_points, self._share(self.top))

    def _share(self, share: float) -> int:
        """That share of the results, whole ones: 0.29 of 100 are 29, though not in binary."""
        return math.floor(round(share * len(self._rows), 9))

    def tell(self, choices: Choices, value: float) -> None:
        self._rows.append([choices.get(number, ABSENT) for number in range(len(self._sizes))])
        self._values.append(value)
        self._densities = None

    def draw(self, rng: random.Random) -> Choices:
        if self._densities is None:
            self._densities = self._fitted(rng)
        good, bad = self._densities
        candidates = np.array([self._candidate(good, rng) for _ in range(self.num_samples)])
        chosen = best(good.density(candidates), bad.density(candidates))
        if chosen is None:
            return {number: rng.randrange(size) for number, size in enumerate(self._sizes)}
        return dict(enumerate(candidates[chosen].tolist()))

    def _candidate(self, good: Kernels, rng: random.Random) -> list[int]:
        point = good.points[rng.randrange(len(good.points))].tolist()
        return [
            rng.randrange(size) if rng.random() < bandwidth else choice
            for choice, size, bandwidth in zip(point, self._sizes, good.bandwidths, strict=True)
        ]

    def _fitted(self, rng: random.Random) -> tuple[Kernels, Kernels]:
        """The densities of the good and of the bad results."""
        order = sorted(range(len(self._rows)), key=lambda number: -self._values[number])
        good, bad = self._good, max(self.min_points, self._share(1 - self.top))
        parts = (order[:good], order[good : good + bad])
        return tuple(  # type: ignore[return-value]
            Kernels(complete([self._rows[number] for number in part], self._sizes, rng), self.min_bandwidth)
            for part in parts
        )


def best(good: Values, bad: Values) -> int | None:
    """The candidate with the least bad / good, the first of equals; None where no ratio is a number.

    A candidate whose ratio is not finite though its good density is (no bad result has one of its choices) is taken at
    once.
    """
    with np.errstate(invalid="ignore"):  # inf / inf
        ratios = np.where(bad > LEAST, bad, LEAST) / np.where(good < LEAST, LEAST, good)
    found: int | None = None
    for number, ratio in enumerate(ratios):
        if not math.isfinite(ratio):
            if math.isfinite(good[number]):
                return number
        elif found is None or ratio < ratios[found]:
            found = number
    return found


def complete(rows: Sequence[Sequence[int]], sizes: Sequence[int], rng: random.Random) -> Points:
    """[n, d] The rows with a choice for what takes no part in them: that of a random row in which it does.

    That row stands in for all that is missing, as far as it goes. What takes part in none is drawn uniformly.
    """
    found = np.array(rows, dtype=np.int64)
    donors = [[row for row in rows if row[number] != ABSENT] for number in range(len(sizes))]
    for row in found:
        while (missing := np.flatnonzero(row == ABSENT)).size:
            first = int(missing[0])
            if donors[first]:
                row[missing] = np.array(rng.choice(donors[first]))[missing]
            else:
                row[first] = rng.randrange(sizes[first])
    return found
