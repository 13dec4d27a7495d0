"""Gaussian process (scikit-learn)."""

from __future__ import annotations

import warnings
from typing import Any, Literal

from nas.blackbox.predictors.base import Prediction, Predictor, Values, standardize
from nas.utils.ranges import Range, check_ranges

BOUNDS = Range(1e-5, 10**5)
"""Bounds within which scikit-learn fits the parameters of a kernel."""


@check_ranges(length_scale=BOUNDS, noise=BOUNDS)
class GaussianProcess(Predictor):
    """Gaussian process with a stationary kernel and noise, whose parameters maximize the marginal likelihood.

    Values are standardized.

    Args:
        kernel: ``matern`` (nu = 5/2) or ``rbf``, of the Euclidean distance of the features.
        length_scale: initial length scale; for zeros and ones, the squared distance is the number of differences.
        noise: initial variance of the noise.

    Raises:
        NasError: if an option is out of range or the kernel is unknown.
    """

    def __init__(
        self,
        kernel: Literal["matern", "rbf"] = "matern",
        length_scale: float = 3.0,
        noise: float = 0.1,
    ) -> None:
        self.kernel = kernel
        self.length_scale = length_scale
        self.noise = noise
        self._model: Any = None
        self._mean, self._std = 0.0, 1.0

    def fit(self, features: Values, values: Values, seed: int) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

        shape = Matern(self.length_scale, nu=2.5) if self.kernel == "matern" else RBF(self.length_scale)
        kernel = ConstantKernel(1.0) * shape + WhiteKernel(self.noise)
        scaled, self._mean, self._std = standardize(values)
        self._model = GaussianProcessRegressor(kernel, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # warnings about a parameter at its bound
            self._model.fit(features, scaled)

    def predict(self, features: Values) -> Prediction:
        mean, std = self._model.predict(features, return_std=True)
        return Prediction(self._mean + self._std * mean, self._std * std)
