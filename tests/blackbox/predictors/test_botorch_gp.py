"""Gaussian process of BoTorch: closed-form posterior, seeds, kernels, and the error without the package."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nas.blackbox.predictors.botorch_gp import BoTorchGaussianProcess, Kernel
from nas.utils.errors import NasError
from tests.support.compose_tools import ROOT
from tests.support.error_tools import run

RNG = np.random.default_rng(0)
TABLE = (RNG.random((100, 12)) < 0.4).astype(float)
VALUES = 90 + TABLE @ RNG.normal(size=12) + TABLE[:, 0] * TABLE[:, 1]


def kernel_matrix(kernel: Kernel, model: Any, a: Any, b: Any) -> Any:
    """Return the kernel of two tables of features, from the parameters of a fitted model."""
    part = model.covar_module
    inner = part if kernel != "hamming" else part.base_kernel
    scales = inner.lengthscale.detach().numpy().ravel()
    if kernel == "hamming":
        differences = (a[:, None] != b[None]) / scales
        return part.outputscale.item() * np.exp(-differences.mean(axis=-1))
    distances = np.sqrt((((a[:, None] - b[None]) / scales) ** 2).sum(axis=-1))
    if kernel == "rbf":
        return np.exp(-(distances**2) / 2)
    root = np.sqrt(5) * distances
    return (1 + root + root**2 / 3) * np.exp(-root)


@pytest.mark.parametrize("kernel", ["rbf", "matern", "hamming"])
def test_posterior_is_that_of_the_closed_form(kernel: Kernel) -> None:
    """Mean and variance of y given noisy samples: K* (K + s I)^-1 y and K** - K* (K + s I)^-1 K*^T."""
    pytest.importorskip("botorch")
    predictor = BoTorchGaussianProcess(kernel)
    predictor.fit(TABLE[:60], VALUES[:60], seed=0)
    found, model = predictor.predict(TABLE[60:]), predictor._model
    mean, std = VALUES[:60].mean(), VALUES[:60].std()
    noise, prior = model.likelihood.noise.item(), model.mean_module.constant.item()
    covariance = kernel_matrix(kernel, model, TABLE[:60], TABLE[:60]) + noise * np.eye(60)
    cross = kernel_matrix(kernel, model, TABLE[60:], TABLE[:60])
    solved = np.linalg.solve(covariance, cross.T).T
    expected = prior + solved @ ((VALUES[:60] - mean) / std - prior)
    variance = np.diag(kernel_matrix(kernel, model, TABLE[60:], TABLE[60:])) - (solved * cross).sum(axis=1)
    np.testing.assert_allclose(found.mean, mean + std * expected, rtol=1e-6)
    np.testing.assert_allclose(found.std, std * np.sqrt(variance), rtol=1e-4)
    assert stats.kendalltau(found.mean, VALUES[60:])[0] > 0.7


def test_fit_depends_on_data_and_seed_alone() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("botorch")
    state, predictor = torch.random.get_rng_state(), BoTorchGaussianProcess()
    results = []
    for count in (30, 50, 30):
        predictor.fit(TABLE[:count], VALUES[:count], seed=0)
        results.append(np.stack(predictor.predict(TABLE[60:])))
    assert (results[0] == results[2]).all() and (results[0] != results[1]).any()
    assert torch.equal(torch.random.get_rng_state(), state)
    predictor.fit(TABLE[:5], np.full(5, 7.0), seed=0)
    assert np.isfinite(np.stack(predictor.predict(TABLE[:30]))).all(), "equal values"


@pytest.mark.parametrize("kernel", ["rbf", "hamming"])
def test_failed_fit_keeps_the_initial_parameters(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("botorch")
    import botorch.fit
    from botorch.exceptions.errors import ModelFittingError

    def fail(mll: Any) -> None:
        for parameter in mll.parameters():
            parameter.data.fill_(float("nan"))
        raise ModelFittingError("All attempts to fit the model have failed.")

    predictor = BoTorchGaussianProcess(kernel)
    monkeypatch.setattr(botorch.fit, "fit_gpytorch_mll", fail)
    with caplog.at_level("WARNING"):
        predictor.fit(TABLE[:40], VALUES[:40], seed=0)
    assert caplog.messages == [
        "predictor=botorch_gp: no fit to 40 samples (All attempts to fit the model have failed.). The parameters keep "
        "their initial values."
    ]
    found = predictor.predict(TABLE[60:])
    assert np.isfinite(np.stack(found)).all() and (found.std > 0).all()
    assert stats.kendalltau(found.mean, VALUES[60:])[0] > 0.3


def test_unknown_kernel_is_refused() -> None:
    with pytest.raises(NasError, match="BoTorchGaussianProcess: kernel=linear: unknown"):
        BoTorchGaussianProcess("linear")  # type: ignore[arg-type]


def test_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botorch", None)
    with pytest.raises(NasError, match=r"^predictor=botorch_gp: BoTorch is not installed. Run pip install 'nas-"):
        BoTorchGaussianProcess()
    run("search", "method=bananas", "predictor=botorch_gp", "dataset=synthetic", "evaluator=zero_cost").refused(
        "predictor=botorch_gp: BoTorch is not installed. Run pip install 'nas-compose[botorch]'"
    )


def test_package_is_imported_only_if_it_is_selected() -> None:
    code = "import sys, nas.cli.search, nas.blackbox.predictors.botorch_gp; print('botorch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "False\n"
