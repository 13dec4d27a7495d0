"""Acquisition functions: scores of candidates from their predicted values; higher is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from nas.blackbox.predictors.base import Prediction, Values

Acquisition = Literal["thompson", "mean", "ucb", "ei"]
EXPLORATION = 0.5
"""Standard deviations that ``upper_confidence_bound`` adds, as in BANANAS."""


def independent_thompson(prediction: Prediction, best: float, rng: np.random.Generator) -> Values:
    """Sample the value of each candidate independently from its normal distribution (White et al., AAAI 2021)."""
    return rng.normal(prediction.mean, prediction.std)


def predicted_mean(prediction: Prediction, best: float, rng: np.random.Generator) -> Values:
    """Return the predicted values."""
    return prediction.mean


def upper_confidence_bound(prediction: Prediction, best: float, rng: np.random.Generator) -> Values:
    """Return the predicted values plus ``EXPLORATION`` standard deviations."""
    return prediction.mean + EXPLORATION * prediction.std


def expected_improvement(prediction: Prediction, best: float, rng: np.random.Generator) -> Values:
    """Return the expected improvement E[max(value - best, 0)] over the best known value (Mockus, 1975)."""
    from scipy.stats import norm  # imported here, because it takes longer than the import of this package

    gain, std = prediction.mean - best, prediction.std
    z = np.divide(gain, std, out=np.zeros_like(gain), where=std > 0)
    return np.where(std > 0, gain * norm.cdf(z) + std * norm.pdf(z), np.maximum(gain, 0.0))


ACQUISITIONS: Mapping[str, Callable[[Prediction, float, np.random.Generator], Values]] = {
    "thompson": independent_thompson,
    "mean": predicted_mean,
    "ucb": upper_confidence_bound,
    "ei": expected_improvement,
}
"""Functions by name. They take the prediction, the best known value, and the generator of their samples."""
