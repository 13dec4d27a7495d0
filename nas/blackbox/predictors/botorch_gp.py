"""Gaussian process (BoTorch)."""

from __future__ import annotations

import logging
import warnings
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from nas.blackbox.predictors.base import Prediction, Predictor, Values, standardize
from nas.utils.errors import NasError, one_line
from nas.utils.ranges import check_ranges

log = logging.getLogger(__name__)

Kernel = Literal["rbf", "matern", "hamming"]


@check_ranges()
class BoTorchGaussianProcess(Predictor):
    """Gaussian process with a length scale for each feature, as a SingleTaskGP of BoTorch.

    The parameters maximize the posterior density. Their priors depend on the number of features (Hvarfner et al.,
    Vanilla Bayesian Optimization Performs Great in High Dimensions, ICML 2024), except for those of ``hamming``.
    Values are standardized. If BoTorch finds no maximum, a warning is logged and the parameters keep their initial
    values.

    Args:
        kernel: ``rbf`` or ``matern`` (nu = 5/2) of the scaled Euclidean distance of the features, or ``hamming``, the
            exponential of the mean of the scaled differences (0 or 1).

    Raises:
        NasError: if the kernel is unknown, or BoTorch is not installed.
    """

    def __init__(self, kernel: Kernel = "rbf") -> None:
        try:
            import botorch  # noqa: F401
        except ImportError:
            raise NasError(
                "predictor=botorch_gp: BoTorch is not installed. Run pip install 'nas-compose[botorch]', or set "
                "predictor=gaussian_process."
            ) from None
        self.kernel = kernel
        self._model: Any = None
        self._mean, self._std = 0.0, 1.0

    def fit(self, features: Values, values: Values, seed: int) -> None:
        from botorch.exceptions.errors import ModelFittingError
        from botorch.fit import fit_gpytorch_mll
        from gpytorch.mlls import ExactMarginalLogLikelihood
        from linear_operator.utils.errors import NanError, NotPSDError

        scaled, self._mean, self._std = standardize(values)
        x, y = torch.as_tensor(features, dtype=torch.float64), torch.as_tensor(scaled, dtype=torch.float64)
        model = self._build(x, y)
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit that has not converged is repeated from random parameters
            torch.manual_seed(seed)
            try:
                fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            except (ModelFittingError, NanError, NotPSDError) as error:
                log.warning(
                    "predictor=botorch_gp: no fit to %d samples (%s). The parameters keep their initial values.",
                    len(values),
                    one_line(error)[:200] or type(error).__name__,
                )
                model = self._build(x, y)
        self._model = model

    def _build(self, x: Tensor, y: Tensor) -> Any:
        """Return the model of samples x [samples, features] and y [samples] with the initial parameters."""
        from botorch.models import SingleTaskGP

        return SingleTaskGP(x, y[:, None], covar_module=self._covariance(x.shape[1]), outcome_transform=None)

    def _covariance(self, features: int) -> Any:
        from botorch.models.kernels import CategoricalKernel
        from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
        from gpytorch.kernels import ScaleKernel

        if self.kernel == "hamming":
            return ScaleKernel(CategoricalKernel(ard_num_dims=features))
        return get_covar_module_with_dim_scaled_prior(features, use_rbf_kernel=self.kernel == "rbf")

    def predict(self, features: Values) -> Prediction:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about features that equal those of a training sample
            posterior = self._model.posterior(torch.as_tensor(features, dtype=torch.float64))
            mean, std = posterior.mean[:, 0].numpy(), np.sqrt(posterior.variance[:, 0].numpy())
        return Prediction(self._mean + self._std * mean, self._std * std)
