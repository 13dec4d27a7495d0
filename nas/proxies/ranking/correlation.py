"""Agreement of two rankings: rank correlations and the quality of the top k, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

Values = NDArray[np.float64]
Statistic = Callable[[Values, Values], float]


class Interval(NamedTuple):
    """Value with its 95 % percentile bootstrap interval; NaN if undefined."""

    value: float
    low: float
    high: float


def to_higher_is_better(scores: Sequence[float] | Values, higher_is_better: bool) -> Values:
    """Return the scores with a sign such that higher is better; scores that are not finite become -inf, tied last."""
    values = np.asarray(scores, dtype=np.float64)
    return np.where(np.isfinite(values), values if higher_is_better else -values, -np.inf)


def spearman(x: Values, y: Values) -> float:
    """Return Spearman's rank correlation: Pearson's of the ranks, with mean ranks for ties."""
    first, second = rankdata(x), rankdata(y)
    first, second = first - first.mean(), second - second.mean()
    scale = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / scale) if scale > 0 else float("nan")


def kendall(x: Values, y: Values) -> float:
    """Return Kendall's tau-b."""
    if len(x) < 2:
        return float("nan")
    # The method concerns only the p-value, which is not used. The asymptotic one is fast but fails for two values.
    method = "asymptotic" if len(x) > 2 else "auto"
    return float(kendalltau(rankdata(x), rankdata(y), variant="b", method=method).statistic)


def top_accuracy(x: Values, y: Values, k: int) -> float:
    """Return the maximum of ``y`` among the ``k`` highest of ``x``, in expectation over the order of ties."""
    certain, tied, open_places = _top_k(x, k)
    best = float(y[certain].max()) if certain.any() else -np.inf
    candidates = np.sort(y[tied])[::-1]
    total, remaining = 0.0, 1.0
    for j, value in enumerate(candidates):  # remaining: the probability that no better candidate is selected
        selected = remaining * open_places / (len(candidates) - j)
        total += selected * max(best, float(value))
        remaining -= selected
        if remaining <= 0 or len(candidates) - j <= open_places:
            break
    return total


def top_overlap(x: Values, y: Values, k: int) -> float:
    """Return the share of the ``k`` highest of ``x`` among the ``k`` highest of ``y``, in expectation over ties."""
    return float(_probability_in_top_k(x, k) @ _probability_in_top_k(y, k)) / k


def bootstrap(
    x: Values, y: Values, statistics: dict[str, Statistic], resamples: int, seed: int = 0
) -> dict[str, Interval]:
    """Return each statistic of (x, y) with its interval.

    Args:
        x: first values [N].
        y: second values [N].
        statistics: functions of (x, y) by name.
        resamples: number of resamples of the N pairs with replacement.
        seed: seed of the resampling.
    """
    rng = np.random.default_rng(seed)
    samples: dict[str, list[float]] = {name: [] for name in statistics}
    for _ in range(resamples if len(x) > 1 else 0):
        indices = rng.integers(len(x), size=len(x))
        for name, statistic in statistics.items():
            samples[name].append(statistic(x[indices], y[indices]))
    return {name: _interval(statistic(x, y), samples[name]) for name, statistic in statistics.items()}


def _interval(value: float, resampled: Sequence[float]) -> Interval:
    defined = [sample for sample in resampled if not np.isnan(sample)]
    if not defined:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(value, float(low), float(high))


def _top_k(x: Values, k: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int]:
    """Return masks of the certain members of the top k and of members tied for its last places, and their number."""
    last = np.partition(x, len(x) - k)[len(x) - k]
    certain = x > last
    return certain, x == last, k - int(certain.sum())


def _probability_in_top_k(x: Values, k: int) -> Values:
    """Return the probability [N] of being among the k highest under random tie-breaking."""
    certain, tied, open_places = _top_k(x, k)
    probability: Values = certain + tied * (open_places / tied.sum())
    return probability
