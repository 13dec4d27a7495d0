"""Predictors: accuracy on a known function, seeds, threads, degenerate data."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from threadpoolctl import threadpool_limits

from nas.blackbox.predictors.base import Predictor
from nas.blackbox.predictors.boosted_trees import BoostedTrees
from nas.blackbox.predictors.gaussian_process import GaussianProcess
from nas.blackbox.predictors.mlp_ensemble import MLPEnsemble
from nas.blackbox.predictors.random_forest import RandomForest
from nas.utils.errors import NasError
from nas.utils.single_thread import single_thread

PREDICTORS: dict[str, Callable[[], Predictor]] = {
    "mlp_ensemble": MLPEnsemble,
    "gaussian_process": GaussianProcess,
    "random_forest": partial(RandomForest, trees=30),
    "boosted_trees": partial(BoostedTrees, members=2),
    "xgboost": partial(BoostedTrees, "xgboost", members=2),
}
RNG = np.random.default_rng(0)
TABLE = (RNG.random((160, 20)) < 0.3).astype(float)
VALUES = 90 + TABLE @ RNG.normal(size=20)


@pytest.fixture(params=list(PREDICTORS))
def predictor(request: pytest.FixtureRequest) -> Predictor:
    return PREDICTORS[request.param]()


def test_predictor_learns_a_linear_function(predictor: Predictor) -> None:
    predictor.fit(TABLE[:100], VALUES[:100], seed=0)
    found = predictor.predict(TABLE[100:])
    assert found.mean.shape == found.std.shape == (60,) and (found.std >= 0).all()
    assert stats.kendalltau(found.mean, VALUES[100:])[0] > 0.5
    assert abs(found.mean.mean() - VALUES[100:].mean()) < 1.0, "the scale of the values"
    near, far = predictor.predict(TABLE[:100]).std.mean(), found.std.mean()
    assert near < far, "the uncertainty is smaller at the samples"


def test_fit_depends_on_data_and_seed_alone(predictor: Predictor) -> None:
    results = []
    for seed, count in ((0, 30), (1, 60), (0, 30)):
        predictor.fit(TABLE[:count], VALUES[:count], seed)
        results.append(np.stack(predictor.predict(TABLE[100:])))
    assert (results[0] == results[2]).all() and (results[0] != results[1]).any()


def test_predictor_accepts_equal_values(predictor: Predictor) -> None:
    predictor.fit(TABLE[:5], np.full(5, 7.0), seed=0)
    found = predictor.predict(TABLE[:30])
    assert np.isfinite(found.mean).all() and np.isfinite(found.std).all()


def test_single_thread_limits_all_libraries() -> None:
    with threadpool_limits(2):
        with single_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2


def test_members_of_seeds_differ() -> None:
    trees = BoostedTrees(members=3, trees=5)
    trees.fit(TABLE[:40], VALUES[:40], seed=0)
    assert (trees.predict(TABLE).std > 0).any()


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(NasError, match="BoostedTrees: library=lightgbm: unknown"):
        BoostedTrees("lightgbm")  # type: ignore[arg-type]
    with pytest.raises(NasError, match="GaussianProcess: kernel=linear: unknown"):
        GaussianProcess("linear")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("predictor", "option", "value"),
    [
        (MLPEnsemble, "lr", 10.0),
        (BoostedTrees, "lr", 2.5),
        (GaussianProcess, "length_scale", 1e30),
        (GaussianProcess, "noise", 1e-30),
    ],
)
def test_options_with_meaningless_predictions_are_refused(predictor: type, option: str, value: float) -> None:
    """They would end in finite predictions of any size, or be replaced by the bounds of the fit."""
    message = re.escape(f"{predictor.__name__}: {option}={value}: use a number")
    with pytest.raises(NasError, match=f"^{message}"):
        predictor(**{option: value})


def test_xgboost_is_needed_for_its_library_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xgboost", None)
    BoostedTrees()
    with pytest.raises(NasError, match=r"XGBoost is not installed. Run pip install 'nas-compose\[predictors\]'"):
        BoostedTrees("xgboost")
