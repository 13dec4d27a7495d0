"""Ensemble of gradient-boosted trees (scikit-learn or XGBoost)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from nas.blackbox.predictors.base import Prediction, Predictor, Values, standardize
from nas.utils.errors import NasError
from nas.utils.ranges import FRACTION, Range, check_ranges

MEMBERS, TREES = Range(1, 100, whole=True), Range(1, 10_000, whole=True)


@check_ranges(members=MEMBERS, trees=TREES, depth=MEMBERS, lr=FRACTION, subsample=FRACTION)
class BoostedTrees(Predictor):
    """Gradient-boosted regression trees of several seeds; the uncertainty is the standard deviation over the members.

    Args:
        library: ``sklearn`` or ``xgboost`` (extra ``predictors``).
        members: number of models; a single one has no uncertainty.
        trees: number of trees of a model.
        depth: maximum depth of a tree.
        lr: learning rate; beyond 1 the residuals of the samples may grow with each tree.
        subsample: fraction of the samples that each tree is fitted to; 1 makes all members of a library equal.

    Raises:
        NasError: if an option is out of range, or XGBoost is required and not installed.
    """

    def __init__(
        self,
        library: Literal["sklearn", "xgboost"] = "sklearn",
        members: int = 5,
        trees: int = 100,
        depth: int = 3,
        lr: float = 0.1,
        subsample: float = 0.7,
    ) -> None:
        self.library = library
        self.members = members
        self.trees = trees
        self.depth = depth
        self.lr = lr
        self.subsample = subsample
        self._xgboost = _import_xgboost() if library == "xgboost" else None
        self._models: list[Any] = []
        self._mean, self._std = 0.0, 1.0

    def fit(self, features: Values, values: Values, seed: int) -> None:
        scaled, self._mean, self._std = standardize(values)
        seeds = np.random.SeedSequence(seed).generate_state(self.members) >> 1
        self._models = [self._build(int(number)).fit(features, scaled) for number in seeds]

    def _build(self, seed: int) -> Any:
        options = {"n_estimators": self.trees, "max_depth": self.depth, "learning_rate": self.lr}
        options |= {"subsample": self.subsample, "random_state": seed}
        if self._xgboost is not None:
            return self._xgboost.XGBRegressor(**options, n_jobs=1, tree_method="exact")
        from sklearn.ensemble import GradientBoostingRegressor

        return GradientBoostingRegressor(**options)

    def predict(self, features: Values) -> Prediction:
        predictions = np.stack([np.asarray(model.predict(features), dtype=np.float64) for model in self._models])
        return Prediction(self._mean + self._std * predictions.mean(axis=0), self._std * predictions.std(axis=0))


def _import_xgboost() -> Any:
    try:
        import xgboost
    except ImportError:
        raise NasError(
            "predictor.library=xgboost: XGBoost is not installed. Run pip install 'nas-compose[predictors]', or set "
            "predictor.library=sklearn."
        ) from None
    return xgboost
