"""Paired comparison of methods over seeds: Wilcoxon's signed-rank test, mean ranks and the critical difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import numpy as np

MIN_PAIRS = 5
"""Pairs below which no p-value is computed: with 4 pairs the smallest possible one is 0.125."""

Results = Mapping[str, Mapping[int, float]]
"""Results by group and seed."""


@dataclass(frozen=True)
class PairedTest:
    """Comparison of two groups over their common seeds.

    Attributes:
        first, second: names of the groups.
        pairs: number of common seeds.
        difference: mean of first - second.
        p: two-sided p-value of Wilcoxon's signed-rank test; None if it was not computed.
        adjusted: p-value adjusted for all tests of the table (Holm); None if ``p`` is None.
        remark: the reason why ``p`` is None.
    """

    first: str
    second: str
    pairs: int
    difference: float
    p: float | None = None
    adjusted: float | None = None
    remark: str = ""


@dataclass(frozen=True)
class Ranks:
    """Ranks of groups over the seeds that all of them have; rank 1 is the best.

    Attributes:
        mean: mean rank by group, best first.
        low, high: lowest and highest rank by group.
        seeds: number of seeds.
        critical_difference: Nemenyi's critical difference of mean ranks at 5 %; None with fewer than 3 groups or
            fewer than ``MIN_PAIRS`` seeds.
    """

    mean: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    seeds: int
    critical_difference: float | None


def paired_tests(results: Results) -> list[PairedTest]:
    """Compare each pair of groups with common seeds."""
    tests = [_paired_test(a, b, results) for a, b in combinations(results, 2) if results[a].keys() & results[b].keys()]
    order = sorted((test.p, number) for number, test in enumerate(tests) if test.p is not None)
    adjusted, largest = {}, 0.0
    for position, (p, number) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - position)))
        adjusted[number] = largest
    return [
        PairedTest(t.first, t.second, t.pairs, t.difference, t.p, adjusted.get(number), t.remark)
        for number, t in enumerate(tests)
    ]


def _paired_test(first: str, second: str, results: Results) -> PairedTest:
    seeds = sorted(results[first].keys() & results[second].keys())
    differences = [results[first][seed] - results[second][seed] for seed in seeds]
    mean = fmean(differences)
    if len(seeds) < MIN_PAIRS:
        return PairedTest(first, second, len(seeds), mean, remark=f"no test with fewer than {MIN_PAIRS} pairs")
    if not any(differences):
        return PairedTest(first, second, len(seeds), mean, remark="all pairs are equal")
    from scipy import stats  # imported here, because it takes longer than the import of this package

    return PairedTest(first, second, len(seeds), mean, float(stats.wilcoxon(differences).pvalue))


def rank_groups(results: Results, lower_is_better: bool = False) -> Ranks | None:
    """Rank the groups for each common seed; ties share their mean rank. None without two groups and a common seed."""
    if len(results) < 2:
        return None
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in results.values())))
    if not seeds:
        return None
    from scipy import stats  # imported here, because it takes longer than the import of this package

    sign = 1 if lower_is_better else -1
    table = np.asarray([[sign * results[name][seed] for name in results] for seed in seeds])
    ranks = dict(zip(results, stats.rankdata(table, axis=1).T.tolist(), strict=True))
    order = sorted(ranks, key=lambda name: fmean(ranks[name]))
    count, difference = len(order), None
    if count >= 3 and len(seeds) >= MIN_PAIRS:
        quantile = float(stats.studentized_range.ppf(0.95, count, np.inf)) / math.sqrt(2)
        difference = quantile * math.sqrt(count * (count + 1) / (6 * len(seeds)))
    return Ranks(
        {name: fmean(ranks[name]) for name in order},
        {name: min(ranks[name]) for name in order},
        {name: max(ranks[name]) for name in order},
        len(seeds),
        difference,
    )


def mean_and_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the standard deviation (by n - 1), None for a single value."""
    return fmean(values), float(np.std(values, ddof=1)) if len(values) > 1 else None
