"""Model of BOHB: densities against statsmodels and the closed form, candidates against their distribution."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from nas.blackbox.encoding import CategoricalEncoding
from nas.blackbox.strategies.kernel_density import (
    ABSENT,
    CategoricalKernels,
    KernelDensityModel,
    best_candidate,
    impute,
)
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.query_tools import CHAIN, SmallSpace

NB201 = NasBench201((3, 32, 32), 10)

POINTS = [[0, 1, 2], [4, 1, 2], [0, 3, 2], [2, 1, 0], [4, 4, 2]]

ONE_LEVEL = [[1, 0, 3], [1, 1, 3], [1, 0, 3], [1, 2, 0]]

# statsmodels 0.14: KDEMultivariate(points, "uuu", bw="normal_reference"), bw clipped from below as in hpbandster.
STATSMODELS = [
    (
        POINTS,
        0.3,
        [1.50670419, 1.06540075, 0.6738186],
        {(0, 1, 2): 8.792533989686712e-4, (4, 3, 0): 8.711538352676018e-4, (1, 1, 1): 0.08824496957859654},
    ),
    (ONE_LEVEL, 0.3, [0.3, 0.72099731, 1.1295857], {(1, 0, 3): 0.050433099431277, (0, 0, 3): math.nan}),
    (ONE_LEVEL, 0.001, [0.001, 0.720997313, 1.1295857], {(1, 3, 3): 0.06670016182141321, (2, 2, 0): math.nan}),
]


@pytest.mark.parametrize(("points", "min_bandwidth", "bandwidths", "densities"), STATSMODELS)
def test_density_equals_statsmodels(
    points: list[list[int]], min_bandwidth: float, bandwidths: list[float], densities: dict[tuple[int, ...], float]
) -> None:
    kernels = CategoricalKernels(np.array(points), min_bandwidth)
    np.testing.assert_allclose(kernels.bandwidths, bandwidths, rtol=1e-7)
    found = kernels.density(np.array(list(densities)))
    np.testing.assert_allclose(found, list(densities.values()), rtol=1e-12)


def test_density_equals_closed_form_and_sums_to_one() -> None:
    """Sum over all options, with each option among the points and no bandwidth above its range."""
    rng = random.Random(0)
    sizes = [2, 3, 4]
    points = [[number % size for size in sizes] for number in range(8)] + [
        [rng.randrange(size) for size in sizes] for _ in range(30)
    ]
    kernels = CategoricalKernels(np.array(points), 0.3)
    spread = [math.sqrt(sum((x - sum(c) / 38) ** 2 for x in c) / 38) for c in zip(*points, strict=True)]
    bandwidths = [max(1.06 * s * 38 ** (-1 / 7), 0.3) for s in spread]
    everything = list(itertools.product(*map(range, sizes)))

    def density(candidate: tuple[int, ...]) -> float:
        total = 0.0
        for point in points:
            product = 1.0
            for x, y, h, size in zip(candidate, point, bandwidths, sizes, strict=True):
                product *= 1 - h if x == y else h / (size - 1)
            total += product
        return total / len(points)

    found = kernels.density(np.array(everything))
    np.testing.assert_allclose(found, [density(c) for c in everything], rtol=1e-12)
    assert math.isclose(found.sum(), 1.0, rel_tol=1e-12)


@pytest.mark.parametrize(
    ("good", "bad", "chosen"),
    [
        ([0.2, 0.5, 0.1], [0.2, 0.2, 0.2], 1),
        ([0.5, 0.5], [0.1, 0.1], 0),
        ([0.5, 0.5, 0.9], [0.2, math.inf, 0.1], 1),  # an option of no bad result is selected immediately
        ([0.5, math.inf], [0.2, 0.2], 1),
        ([0.5, math.nan], [0.2, 0.2], 0),
        ([math.inf, 0.5], [math.inf, 9.0], 1),
        ([math.nan, math.inf], [0.1, math.inf], None),
        ([-0.2, 0.1], [0.1, 0.2], 1),  # a negative density counts as the minimum
        ([0.1, 0.2], [math.nan, 0.1], 0),
    ],
)
def test_best_candidate_has_lowest_ratio(good: list[float], bad: list[float], chosen: int | None) -> None:
    assert best_candidate(np.array(good), np.array(bad)) == chosen


def test_sample_has_widened_density_of_good_results() -> None:
    """One candidate per sample: its density is the mean over good points of prod (1 - h) [same] + h / options."""
    space = SmallSpace(CHAIN)
    encoding, rng = CategoricalEncoding(space), random.Random(2)
    model = KernelDensityModel(encoding, num_samples=1, top=0.3, min_points=4)
    rows = [[rng.randrange(d.size) for d in encoding.decisions] for _ in range(40)]
    for number, row in enumerate(rows):
        model.add(dict(enumerate(row)), -number)
    good = CategoricalKernels(np.array(rows[:12]), 0.3)
    chances = [min(h, 1.0) for h in good.bandwidths]
    assert any(0.3 <= h < 1 for h in chances)
    everything = list(itertools.product(*(range(d.size) for d in encoding.decisions)))

    def probability(candidate: tuple[int, ...]) -> float:
        terms = (
            math.prod(
                (1 - h) * (x == y) + h / d.size
                for x, y, h, d in zip(candidate, point, chances, encoding.decisions, strict=True)
            )
            for point in rows[:12]
        )
        return sum(terms) / 12

    expected = [probability(candidate) for candidate in everything]
    samples = 4000
    counts = Counter(tuple(model.sample(rng).values()) for _ in range(samples))
    observed = [counts[c] for c in everything]
    assert stats.chisquare(observed, [samples * p for p in expected]).pvalue > 1e-4


def test_model_is_ready_with_enough_good_and_bad_results() -> None:
    model = KernelDensityModel(CategoricalEncoding(NB201), num_samples=4, top=0.15, min_points=7)
    rng = random.Random(0)
    for number in range(100):
        assert model.ready == (number >= 14)
        assert model._good_count == max(7, 15 * number // 100)
        value = -math.inf if number % 5 == 0 else float(number)
        model.add({i: rng.randrange(5) for i in range(6)}, value)
    good, bad = model._fit(rng)
    assert (len(good.points), len(bad.points)) == (15, 85)
    order = sorted((n for n in range(100) if n % 5), reverse=True)[:15]
    np.testing.assert_array_equal(good.points, np.array(model._rows)[order])


def test_impute_takes_options_of_other_rows() -> None:
    rows = [[0, ABSENT, 3, ABSENT], [1, 2, ABSENT, ABSENT], [1, 1, 5, ABSENT]]
    seen = Counter(tuple(map(tuple, impute(rows, [2, 3, 6, 2], random.Random(seed)))) for seed in range(400))
    for first, second, third in seen:
        assert first[0] == 0 and first[1] in (1, 2) and first[2] == 3
        assert second[:2] == (1, 2) and second[2] in (3, 5) and third[:3] == (1, 1, 5)
    for place in range(3):
        last = Counter(key[place][3] for key, count in seen.items() for _ in range(count))
        assert set(last) == {0, 1} and min(last.values()) > 140
