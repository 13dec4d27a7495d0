"""How well one ranking agrees with another: correlations and the best of the first few, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

Values = NDArray[np.float64]
Statistic = Callable[[Values, Values], float]


class Interval(NamedTuple):
    """A value with its 95 % interval by the percentiles of a bootstrap; NaN where it is not defined."""

    value: float
    low: float
    high: float


class Top(NamedTuple):
    """The ``k`` architectures with the best scores.

    ``accuracy`` is the best true accuracy among them, ``overlap`` the share of them that is among the true ``k`` best.
    Where equal scores compete for the last places these are expectations over a random choice among them.
    """

    k: int
    accuracy: Interval
    overlap: Interval


def to_higher_is_better(scores: Sequence[float] | Values, higher_is_better: bool) -> Values:
    """Scores so that higher is better; what is not finite becomes -inf and so shares the last rank."""
    values = np.asarray(scores, dtype=np.float64)
    return np.where(np.isfinite(values), values if higher_is_better else -values, -np.inf)


def spearman(x: Values, y: Values) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, equal values sharing their mean rank."""
    first, second = rankdata(x), rankdata(y)
    first, second = first - first.mean(), second - second.mean()
    scale = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / scale) if scale > 0 else float("nan")


def kendall(x: Values, y: Values) -> float:
    """Kendall's tau-b."""
    if len(x) < 2:
        return float("nan")
    # the method is that of the p-value, which is not used: the asymptotic one is quick, and fails for two
    method = "asymptotic" if len(x) > 2 else "auto"
    return float(kendalltau(rankdata(x), rankdata(y), variant="b", method=method).statistic)


def top_accuracy(x: Values, y: Values, k: int) -> float:
    """The best of ``y`` among the ``k`` highest of ``x``, in expectation over the choice among equals."""
    sure, tied, places = _selected(x, k)
    best = float(y[sure].max()) if sure.any() else -np.inf
    others = np.sort(y[tied])[::-1]
    total, left = 0.0, 1.0
    for j, value in enumerate(others):  # left: the probability that none of the better ones is chosen
        chosen = left * places / (len(others) - j)
        total += chosen * max(best, float(value))
        left -= chosen
        if left <= 0 or len(others) - j <= places:
            break
    return total


def top_overlap(x: Values, y: Values, k: int) -> float:
    """The share of the ``k`` highest of ``x`` that is among the ``k`` highest of ``y``; equals count in part."""
    return float(_share(x, k) @ _share(y, k)) / k


def bootstrap(
    x: Values, y: Values, statistics: dict[str, Statistic], resamples: int, seed: int = 0
) -> dict[str, Interval]:
    """Each statistic of (x, y) with its interval over ``resamples`` draws of architectures with replacement."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in statistics}
    for _ in range(resamples if len(x) > 1 else 0):
        drawn = rng.integers(len(x), size=len(x))
        for name, statistic in statistics.items():
            found[name].append(statistic(x[drawn], y[drawn]))
    return {name: _interval(statistic(x, y), found[name]) for name, statistic in statistics.items()}


def _interval(value: float, draws: Sequence[float]) -> Interval:
    defined = [draw for draw in draws if not np.isnan(draw)]
    if not defined:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(value, float(low), float(high))


def _selected(x: Values, k: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int]:
    """Who is among the k highest for certain, who shares the last ``places`` of them, and how many places these are."""
    last = np.partition(x, len(x) - k)[len(x) - k]
    sure = x > last
    return sure, x == last, k - int(sure.sum())


def _share(x: Values, k: int) -> Values:
    """For each the probability to be among the k highest."""
    sure, tied, places = _selected(x, k)
    share: Values = sure + tied * (places / tied.sum())
    return share
