"""Interface of a predictor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


class Prediction(NamedTuple):
    """Predicted values [n] and their standard deviations [n]; 0 if a predictor has no uncertainty."""

    mean: Values
    std: Values


class Predictor(ABC):
    """Regression of values on features. ``fit`` starts from scratch each time.

    Results depend only on the data and the seed, not on the number of threads: callers limit them to one.
    """

    @abstractmethod
    def fit(self, features: Values, values: Values, seed: int) -> None:
        """Fit the predictor.

        Args:
            features: features [n, d].
            values: finite values [n], higher is better.
            seed: seed of all random numbers, 0 to 2^31 - 1.
        """

    @abstractmethod
    def predict(self, features: Values) -> Prediction:
        """Predict the values of features [m, d]."""


def standardize(values: Values) -> tuple[Values, float, float]:
    """Return the values with mean 0 and standard deviation 1, and their mean and deviation; 1 for equal values."""
    mean, std = float(values.mean()), float(values.std())
    std = std if std > 1e-12 * max(1.0, abs(mean)) else 1.0
    return (values - mean) / std, mean, std
