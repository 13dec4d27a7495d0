"""nas.report.statistics: paired tests and ranks with known results."""

from __future__ import annotations

import pytest

from nas.report.statistics import mean_and_std, paired_tests, rank_groups


def test_paired_tests_use_common_seeds_and_adjust_for_their_number() -> None:
    a, b = {seed: float(seed) for seed in range(8)}, {seed: seed + 1.0 for seed in range(2, 10)}
    c = {seed: seed + (0.5 if seed % 2 else -0.6) for seed in range(8)}
    first, second, third = paired_tests({"a": a, "b": b, "c": c})
    assert (first.pairs, first.difference, first.p) == (6, -1.0, pytest.approx(2 / 2**6))
    assert second.p is not None and third.p is not None and second.p > third.p
    assert first.adjusted == pytest.approx(3 * 2 / 2**6) and second.adjusted == second.p
    assert third.adjusted == pytest.approx(max(first.adjusted, 2 * third.p))


def test_paired_tests_need_five_pairs_that_differ() -> None:
    few, equal = {seed: float(seed) for seed in range(4)}, {seed: 1.0 for seed in range(6)}
    (test,) = paired_tests({"a": few, "b": {seed: 0.0 for seed in range(9)}})
    assert (test.pairs, test.p, test.remark) == (4, None, "no test with fewer than 5 pairs")
    (test,) = paired_tests({"a": equal, "b": equal})
    assert test.p is None and test.remark == "all pairs are equal"
    assert paired_tests({"a": {0: 1.0}, "b": {1: 1.0}}) == []


def test_ranks_are_means_over_common_seeds_with_ties() -> None:
    results = {"a": {0: 3.0, 1: 1.0, 2: 9.0}, "b": {0: 2.0, 1: 1.0}, "c": {0: 1.0, 1: 0.0}}
    ranks = rank_groups(results)
    assert ranks is not None and ranks.seeds == 2 and ranks.critical_difference is None
    assert ranks.mean == {"a": 1.25, "b": 1.75, "c": 3.0}
    assert (ranks.low["a"], ranks.high["a"]) == (1.0, 1.5)
    assert rank_groups({"a": {0: 1.0}}) is None and rank_groups({"a": {0: 1.0}, "b": {1: 1.0}}) is None


def test_critical_difference_is_that_of_nemenyi() -> None:
    # Demsar (JMLR 2006), table 5: q = 2.569 for four classifiers; CD = q * sqrt(k (k + 1) / (6 N))
    ranks = rank_groups({str(k): {seed: float(k) for seed in range(14)} for k in range(4)})
    assert ranks is not None and ranks.critical_difference == pytest.approx(2.569 * (20 / 84) ** 0.5, abs=1e-3)


def test_deviation_divides_by_n_minus_one() -> None:
    assert mean_and_std([1.0, 3.0]) == (2.0, pytest.approx(2**0.5)) and mean_and_std([1.0]) == (1.0, None)
