"""Learning curves of predictors: rank correlation with the values of unseen genotypes, by the number of samples."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.blackbox.predictors.base import Predictor, Values
from nas.utils.single_thread import single_thread


class CurvePoint(NamedTuple):
    """Agreement of a predictor with the values of held-out genotypes.

    Attributes:
        predictor, encoding: names.
        size: number of samples of the fit.
        kendall, spearman: mean rank correlation over the repetitions; NaN if all predictions of each are equal.
        kendall_std, spearman_std: standard deviation (n - 1).
        seconds: mean CPU seconds of a fit and the predictions.
    """

    predictor: str
    encoding: str
    size: int
    kendall: float
    kendall_std: float
    spearman: float
    spearman_std: float
    seconds: float


def curve_points(
    predictors: Mapping[str, Callable[[], Predictor]],
    tables: Mapping[str, Values],
    values: Values,
    sizes: Sequence[int],
    repetitions: int,
    held_out: int,
    seed: int = 0,
) -> list[CurvePoint]:
    """Fit each predictor to random genotypes and compare its predictions for others with their values.

    All predictors and encodings get the same genotypes. A larger set contains each smaller set.

    Args:
        predictors: functions that build the predictors, by name.
        tables: features [genotypes, d] by the name of the encoding.
        values: finite values [genotypes].
        sizes: numbers of samples.
        repetitions: independent random genotypes.
        held_out: number of genotypes that are predicted.
        seed: seed of the first repetition.
    """
    orders = [np.random.default_rng(seed + number).permutation(len(values)) for number in range(repetitions)]
    points = []
    for name, build in predictors.items():
        for encoding, table in tables.items():
            for size in sizes:
                rows = [_correlations(build(), table, values, order, size, held_out) for order in orders]
                kendall, spearman, seconds = np.array(rows).T
                points.append(
                    CurvePoint(name, encoding, size, *_moments(kendall), *_moments(spearman), float(seconds.mean()))
                )
    return points


def _correlations(
    predictor: Predictor, table: Values, values: Values, order: NDArray[np.int64], size: int, held_out: int
) -> tuple[float, float, float]:
    """Return Kendall's tau-b, Spearman's correlation and the CPU seconds of one fit."""
    from scipy.stats import ConstantInputWarning, kendalltau, spearmanr  # imported here, because it takes long

    samples, others = order[:size], order[len(order) - held_out :]
    start = time.process_time()
    with single_thread():
        predictor.fit(table[samples], values[samples], seed=0)
        mean = predictor.predict(table[others]).mean
    seconds = time.process_time() - start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        return float(kendalltau(mean, values[others])[0]), float(spearmanr(mean, values[others])[0]), seconds


def _moments(values: Values) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return math.nan, math.nan
    return float(finite.mean()), float(finite.std(ddof=1)) if len(finite) > 1 else math.nan
