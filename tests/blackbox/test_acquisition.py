"""Acquisition functions against Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest

from nas.blackbox.acquisition import ACQUISITIONS
from nas.blackbox.predictors.base import Prediction

PREDICTION = Prediction(np.array([1.0, 2.0, 3.0, 5.0]), np.array([2.0, 0.5, 0.0, 0.0]))
SAMPLES = np.random.default_rng(0).normal(PREDICTION.mean, PREDICTION.std, (400_000, 4))


def score(name: str, best: float = 4.0, seed: int = 0) -> np.ndarray:
    return ACQUISITIONS[name](PREDICTION, best, np.random.default_rng(seed))


def test_expected_improvement_is_the_mean_of_samples() -> None:
    for best in (0.0, 2.2, 4.0):
        truth = np.maximum(SAMPLES - best, 0).mean(axis=0)
        assert score("ei", best) == pytest.approx(truth, abs=0.01)


def test_thompson_samples_have_the_predicted_moments() -> None:
    samples = np.stack([score("thompson", seed=seed) for seed in range(4000)])
    assert samples.mean(axis=0) == pytest.approx(PREDICTION.mean, abs=0.1)
    assert samples.std(axis=0) == pytest.approx(PREDICTION.std, abs=0.1)
    assert abs(np.corrcoef(samples[:, 0], samples[:, 1])[0, 1]) < 0.05, "independent samples"


def test_mean_and_upper_confidence_bound() -> None:
    assert score("mean").tolist() == [1.0, 2.0, 3.0, 5.0]
    assert score("ucb").tolist() == [2.0, 2.25, 3.0, 5.0]
