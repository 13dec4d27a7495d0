"""The model of BOHB: densities against statsmodels' and the closed form, candidates against their distribution."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from nas.blackbox.encoding import Decisions
from nas.blackbox.strategies.bohb import Bohb
from nas.blackbox.strategies.kernel_density import ABSENT, KernelModel, Kernels, best, complete
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.query_tools import CHAIN, CHOOSING, Small, darts, value_of

NB201 = NasBench201((3, 32, 32), 10)
POINTS = [[0, 1, 2], [4, 1, 2], [0, 3, 2], [2, 1, 0], [4, 4, 2]]
ONE_LEVEL = [[1, 0, 3], [1, 1, 3], [1, 0, 3], [1, 2, 0]]

# statsmodels 0.14: KDEMultivariate(points, "uuu", bw="normal_reference"), bw clipped from below as hpbandster does.
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


@pytest.mark.parametrize(("points", "least", "bandwidths", "densities"), STATSMODELS)
def test_densities_are_those_of_statsmodels(
    points: list[list[int]], least: float, bandwidths: list[float], densities: dict[tuple[int, ...], float]
) -> None:
    kernels = Kernels(np.array(points), least)
    np.testing.assert_allclose(kernels.bandwidths, bandwidths, rtol=1e-7)
    found = kernels.density(np.array(list(densities)))
    np.testing.assert_allclose(found, list(densities.values()), rtol=1e-12)


def test_densities_are_their_closed_form_and_sum_to_one() -> None:
    """Over all choices, where every one of them is among the points and no bandwidth was fitted above its range."""
    rng = random.Random(0)
    sizes = [2, 3, 4]
    points = [[number % size for size in sizes] for number in range(8)] + [
        [rng.randrange(size) for size in sizes] for _ in range(30)
    ]
    kernels = Kernels(np.array(points), 0.3)
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
        ([0.5, 0.5, 0.9], [0.2, math.inf, 0.1], 1),  # a choice that no bad result has: at once
        ([0.5, math.inf], [0.2, 0.2], 1),
        ([0.5, math.nan], [0.2, 0.2], 0),
        ([math.inf, 0.5], [math.inf, 9.0], 1),
        ([math.nan, math.inf], [0.1, math.inf], None),
        ([-0.2, 0.1], [0.1, 0.2], 1),  # a negative density is as good as none
        ([0.1, 0.2], [math.nan, 0.1], 0),
    ],
)
def test_the_choice_among_candidates(good: list[float], bad: list[float], chosen: int | None) -> None:
    assert best(np.array(good), np.array(bad)) == chosen


def test_candidates_come_from_the_widened_density_of_the_good() -> None:
    """One candidate a draw leaves no choice: sum over good points of prod (1 - h) [same] + h / choices, with h < 1."""
    space = Small(CHAIN)
    decisions, rng = Decisions(space), random.Random(2)
    model = KernelModel(decisions, num_samples=1, top=0.3, min_points=4)
    rows = [[rng.randrange(d.size) for d in decisions.all] for _ in range(40)]
    for number, row in enumerate(rows):
        model.tell(dict(enumerate(row)), -number)
    good = Kernels(np.array(rows[:12]), 0.3)
    chances = [min(h, 1.0) for h in good.bandwidths]
    assert any(0.3 <= h < 1 for h in chances)
    everything = list(itertools.product(*(range(d.size) for d in decisions.all)))

    def probability(candidate: tuple[int, ...]) -> float:
        terms = (
            math.prod(
                (1 - h) * (x == y) + h / d.size
                for x, y, h, d in zip(candidate, point, chances, decisions.all, strict=True)
            )
            for point in rows[:12]
        )
        return sum(terms) / 12

    expected = [probability(candidate) for candidate in everything]
    draws = 4000
    counts = Counter(tuple(model.draw(rng).values()) for _ in range(draws))
    observed = [counts[c] for c in everything]
    assert stats.chisquare(observed, [draws * p for p in expected]).pvalue > 1e-4


def test_a_model_needs_as_many_bad_results_as_good_ones() -> None:
    model = KernelModel(Decisions(NB201), num_samples=4, top=0.15, min_points=7)
    rng = random.Random(0)
    for number in range(100):
        assert model.ready == (number >= 14)
        assert model._good == max(7, 15 * number // 100)
        value = -math.inf if number % 5 == 0 else float(number)
        model.tell({i: rng.randrange(5) for i in range(6)}, value)
    good, bad = model._fitted(rng)
    assert (len(good.points), len(bad.points)) == (15, 85)
    order = sorted((n for n in range(100) if n % 5), reverse=True)[:15]
    np.testing.assert_array_equal(good.points, np.array(model._rows)[order])


def test_what_takes_no_part_is_filled_in_from_other_results() -> None:
    rows = [[0, ABSENT, 3, ABSENT], [1, 2, ABSENT, ABSENT], [1, 1, 5, ABSENT]]
    seen = Counter(tuple(map(tuple, complete(rows, [2, 3, 6, 2], random.Random(seed)))) for seed in range(400))
    for first, second, third in seen:
        assert first[0] == 0 and first[1] in (1, 2) and first[2] == 3
        assert second[:2] == (1, 2) and second[2] in (3, 5) and third[:3] == (1, 1, 5)
    for place in range(3):
        last = Counter(key[place][3] for key, count in seen.items() for _ in range(count))
        assert set(last) == {0, 1} and min(last.values()) > 140


@pytest.mark.parametrize("name", ["darts", "darts_s1"])
def test_candidates_stay_in_spaces_whose_nodes_choose_their_edges(name: str) -> None:
    space, rng = darts(name), random.Random(0)
    strategy = Bohb(space, rungs=1, min_points=5)
    for _ in range(40):
        genotype = strategy.ask(rng)
        space.check(genotype)
        strategy.tell(genotype, value_of(genotype))
    assert strategy.models[0].ready


def test_undecided_ops_are_not_told() -> None:
    space, rng = Small(CHOOSING), random.Random(0)
    strategy = Bohb(space, rungs=1, min_points=3)
    for _ in range(12):
        strategy.tell(strategy.ask(rng), rng.random())
    model = strategy.models[0]
    assert isinstance(model, KernelModel)
    absent = {sum(choice == ABSENT for choice in row) for row in model._rows}
    assert absent == {1}, "of three edges into node 3 two are taken"


def test_the_same_seed_gives_the_same_candidates() -> None:
    def asked(seed: int) -> list[object]:
        rng, strategy = random.Random(seed), Bohb(NB201)
        found: list[object] = []
        for _ in range(60):
            found.append(strategy.ask(rng))
            strategy.tell(found[-1], value_of(found[-1]))  # type: ignore[arg-type]
        return found

    assert asked(1) == asked(1) != asked(2)


def test_options_of_the_model_are_checked() -> None:
    for options in ({"min_points": 0}, {"min_bandwidth": 0.0}, {"min_bandwidth": 1.5}):
        with pytest.raises(NasError, match="min_points must be at least 1"):
            Bohb(NB201, **options)  # type: ignore[arg-type]
