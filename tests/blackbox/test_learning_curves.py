"""Learning curves against scipy, with a predictor that is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nas.blackbox.learning_curves import curve_points
from nas.blackbox.predictors.base import Prediction, Predictor, Values

RNG = np.random.default_rng(0)
TABLE = RNG.random((50, 4))
VALUES = TABLE[:, 0] + 0.1 * RNG.normal(size=50)


class FirstFeature(Predictor):
    """The first feature as value, or a constant after a fit to fewer than 5 samples."""

    def fit(self, features: Values, values: Values, seed: int) -> None:
        self.scale = float(len(features) >= 5)

    def predict(self, features: Values) -> Prediction:
        return Prediction(self.scale * features[:, 0], np.zeros(len(features)))


def test_points_are_means_over_random_genotypes() -> None:
    four, ten = curve_points({"first": FirstFeature}, {"plain": TABLE}, VALUES, [4, 10], 3, held_out=20, seed=7)
    others = [np.random.default_rng(seed).permutation(50)[30:] for seed in (7, 8, 9)]
    kendall = [stats.kendalltau(TABLE[rows, 0], VALUES[rows])[0] for rows in others]
    spearman = [stats.spearmanr(TABLE[rows, 0], VALUES[rows])[0] for rows in others]
    assert (ten.predictor, ten.encoding, ten.size) == ("first", "plain", 10)
    assert (ten.kendall, ten.kendall_std) == pytest.approx((np.mean(kendall), np.std(kendall, ddof=1)))
    assert (ten.spearman, ten.spearman_std) == pytest.approx((np.mean(spearman), np.std(spearman, ddof=1)))
    assert math.isnan(four.kendall) and math.isnan(four.spearman_std), "equal predictions have no ranks"
