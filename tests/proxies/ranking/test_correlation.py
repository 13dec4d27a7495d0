"""Rank statistics against scipy and brute force, with ties and infinities."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nas.proxies.ranking.correlation import (
    Values,
    bootstrap,
    kendall,
    spearman,
    to_higher_is_better,
    top_accuracy,
    top_overlap,
)

SMALL = st.integers(0, 4).map(float)

PAIRS = st.lists(st.tuples(SMALL, st.integers(0, 30).map(float)), min_size=2, max_size=9)


def arrays(pairs: list[tuple[float, float]]) -> tuple[Values, Values]:
    x, y = zip(*pairs, strict=True)
    return np.array(x), np.array(y)


@settings(deadline=None, max_examples=80)
@given(pairs=PAIRS)
def test_correlations_equal_scipy(pairs: list[tuple[float, float]]) -> None:
    x, y = arrays(pairs)
    if len(set(x)) < 2 or len(set(y)) < 2:
        assert math.isnan(spearman(x, y)) and math.isnan(kendall(x, y))
        return
    assert math.isclose(spearman(x, y), stats.spearmanr(x, y).statistic, abs_tol=1e-12)
    assert math.isclose(kendall(x, y), stats.kendalltau(x, y).statistic, abs_tol=1e-12)
    signs = [(np.sign(a - c), np.sign(b - d)) for (a, b), (c, d) in itertools.combinations(pairs, 2)]
    both = sum(p * q for p, q in signs)
    untied = math.sqrt(sum(p != 0 for p, _ in signs) * sum(q != 0 for _, q in signs))
    assert math.isclose(kendall(x, y), both / untied, abs_tol=1e-12)


@settings(deadline=None, max_examples=80)
@given(pairs=PAIRS, k=st.integers(1, 9))
def test_top_k_statistics_are_means_over_orders_of_ties(pairs: list[tuple[float, float]], k: int) -> None:
    x, y = arrays(pairs)
    k = min(k, len(x))

    def top_sets(values: Values) -> list[set[int]]:
        """Return every set of k positions that no other position beats."""
        sets = map(set, itertools.combinations(range(len(values)), k))
        return [s for s in sets if all(values[i] >= values[j] for i in s for j in set(range(len(values))) - s)]

    chosen, best = top_sets(x), top_sets(y)
    assert math.isclose(
        top_accuracy(x, y, k), np.mean([max(y[i] for i in s) for s in chosen]), rel_tol=1e-9, abs_tol=1e-9
    )
    overlap = np.mean([len(s & t) / k for s in chosen for t in best])
    assert math.isclose(top_overlap(x, y, k), overlap, rel_tol=1e-9, abs_tol=1e-9)


def test_scores_that_are_not_finite_share_last_rank() -> None:
    scores = [3.0, math.nan, 1.0, math.inf, 2.0, -math.inf]
    assert to_higher_is_better(scores, True).tolist() == [3.0, -math.inf, 1.0, -math.inf, 2.0, -math.inf]
    assert to_higher_is_better(scores, False).tolist() == [-3.0, -math.inf, -1.0, -math.inf, -2.0, -math.inf]
    y = np.array([6.0, 2.0, 4.0, 1.0, 5.0, 3.0])
    by_hand = stats.spearmanr([6, 2, 4, 2, 5, 2], y).statistic
    assert math.isclose(spearman(to_higher_is_better(scores, True), y), by_hand)
    assert math.isclose(
        kendall(to_higher_is_better(scores, True), y), stats.kendalltau([6, 2, 4, 2, 5, 2], y).statistic
    )
    huge = to_higher_is_better([1e55, 2e55, math.nan], True)
    assert spearman(huge, np.array([1.0, 2.0, 0.0])) == pytest.approx(1)


def test_bootstrap_intervals_are_reproducible_and_cover() -> None:
    """Compare with the interval of Fisher's transform for a normal sample."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    y = x + rng.normal(size=400)
    found = bootstrap(x, y, {"spearman": spearman, "kendall": kendall}, 400, seed=3)
    value, low, high = found["spearman"]
    center, half = math.atanh(value), 1.96 * math.sqrt(1.06 / 397)
    assert abs(low - math.tanh(center - half)) < 0.03 and abs(high - math.tanh(center + half)) < 0.03
    assert found == bootstrap(x, y, {"spearman": spearman, "kendall": kendall}, 400, seed=3)
    assert found["kendall"].low < found["kendall"].value < found["kendall"].high
    one = bootstrap(x[:1], y[:1], {"spearman": spearman}, 10)["spearman"]
    assert all(map(math.isnan, one))
