"""Predictor-guided search: its batches, its candidates, and what it finds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from nas.architecture.cell import Genotype
from nas.blackbox.mutations import neighbors
from nas.blackbox.predictors.base import Prediction, Predictor, Values
from nas.blackbox.predictors.boosted_trees import BoostedTrees
from nas.blackbox.predictors.mlp_ensemble import MLPEnsemble
from nas.blackbox.strategies.predictor_guided import PredictorGuided
from nas.spaces.base import Space
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.query_tools import CHAIN, SmallSpace, all_genotypes, distance, value_of

NB201 = NasBench201((3, 32, 32), 10)


def ops_value(genotype: Genotype) -> float:
    """Return a value that is the sum of those of the links."""
    weights = {"none": 0.0, "skip_connect": 1.0, "nor_conv_1x1": 3.0, "nor_conv_3x3": 7.0, "avg_pool_3x3": 0.5}
    return sum(weights[link.op] * (1 + link.target) for cell in genotype.cells.values() for link in cell.links)


class Oracle(Predictor):
    """Predictor that knows the values, and records the data that it is fitted to."""

    def __init__(self, space: Space, sizes: list[int]) -> None:
        self.space, self.sizes = space, sizes

    def fit(self, features: Any, values: Any, seed: int) -> None:
        self.sizes.append(len(values))
        self.coefficients = np.linalg.lstsq(features, values, rcond=None)[0]

    def predict(self, features: Any) -> Prediction:
        mean = features @ self.coefficients
        return Prediction(mean, np.zeros_like(mean))


def run(strategy: PredictorGuided, queries: int, value: Callable[[Genotype], float], seed: int = 0) -> list[Genotype]:
    rng, asked = random.Random(seed), []
    for _ in range(queries):
        asked.append(strategy.ask(rng))
        strategy.tell(asked[-1], value(asked[-1]))
    return asked


def test_candidates_are_the_best_mutants_of_the_best_genotype() -> None:
    """With an exact predictor each batch has the best neighbors, which the oracle of the test enumerates."""
    sizes: list[int] = []
    oracle = partial(Oracle, NB201, sizes)
    strategy = PredictorGuided(
        NB201, oracle, encoding="one_hot", acquisition="mean", initial=60, batch=5, candidates=400, parents=1
    )
    asked = run(strategy, 70, ops_value)
    assert sizes == [60, 65], "one fit per batch, to all results"
    parent = max(asked[:60], key=ops_value)
    best = sorted({ops_value(g) for g in neighbors(NB201, parent) if g not in asked[:60]}, reverse=True)
    assert ops_value(asked[60]) == best[0] and all(distance(parent, g) == 1 for g in asked[60:65])
    assert [ops_value(g) for g in asked[60:65]] == sorted((ops_value(g) for g in asked[60:65]), reverse=True)


def test_search_finds_the_optimum_of_a_separable_function() -> None:
    found = run(PredictorGuided(NB201, partial(BoostedTrees, members=2), encoding="one_hot"), 80, ops_value)
    optimum = 7 * (2 + 2 * 3 + 3 * 4)
    assert max(map(ops_value, found)) == optimum
    assert len(set(found)) == 80, "no genotype is proposed twice"


def test_small_space_is_exhausted_before_genotypes_repeat() -> None:
    space = SmallSpace(CHAIN)
    every = all_genotypes(space)
    strategy = PredictorGuided(space, partial(BoostedTrees, members=1, trees=5), initial=5, batch=3)
    asked = run(strategy, len(every) + 10, value_of)
    assert len(set(asked[: len(every) - 4])) >= len(every) - 6, "random samples find the last ones by chance"


def test_failed_evaluations_are_not_used() -> None:
    sizes: list[int] = []
    strategy = PredictorGuided(NB201, partial(Oracle, NB201, sizes), encoding="one_hot", initial=10, batch=4)
    values = iter([-math.inf if number % 2 else float(number) for number in range(30)])
    asked = run(strategy, 30, lambda genotype: next(values))
    assert sizes[0] == 10 and len(set(asked)) == 30


def test_pending_candidates_are_not_proposed_again() -> None:
    strategy, rng = (
        PredictorGuided(NB201, partial(BoostedTrees, members=1, trees=5), initial=5, batch=2),
        random.Random(0),
    )
    run(strategy, 5, ops_value)
    pending = [strategy.ask(rng) for _ in range(12)]
    assert len(set(pending)) == 12 and len(strategy._values) == 5


@pytest.mark.parametrize("rate", [None, 1.5, 3.0])
def test_number_of_mutated_links(rate: float | None) -> None:
    strategy = PredictorGuided(NB201, BoostedTrees, mutations=rate)
    rng = random.Random(0)
    parent = NB201.sample(rng)
    distances = [distance(parent, strategy._mutant(parent, rng)) for _ in range(4000)]
    if rate is None:
        assert set(distances) == {1}
    else:  # mutations in sequence may hit the same link
        zero = (1 - rate / 6) ** 6
        assert distances.count(0) / 4000 == pytest.approx(zero, abs=0.03)
        assert rate * 0.75 < sum(distances) / 4000 <= rate * 1.02


class Diverged(MLPEnsemble):
    """Predictor without a finite prediction."""

    def predict(self, features: Values) -> Prediction:
        return Prediction(*np.full((2, len(features)), np.nan))


def test_predictor_that_diverges_is_one_line() -> None:
    strategy = PredictorGuided(NB201, partial(Diverged, members=1, epochs=1), initial=5, batch=2)
    with pytest.raises(NasError, match="predictor: Diverged diverged. Use a smaller predictor.lr"):
        run(strategy, 6, ops_value)


def test_unknown_acquisition_is_refused() -> None:
    with pytest.raises(NasError, match="acquisition=best: unknown. Choose from ei, mean, thompson, ucb"):
        PredictorGuided(NB201, BoostedTrees, acquisition="best")  # type: ignore[arg-type]
