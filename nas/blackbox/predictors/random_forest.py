"""Random forest (scikit-learn)."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.blackbox.predictors.base import Prediction, Predictor, Values
from nas.utils.ranges import COUNT, FRACTION, Range, check_ranges


@check_ranges(trees=Range(1, 10_000, whole=True), max_features=FRACTION, min_samples_leaf=COUNT)
class RandomForest(Predictor):
    """Random forest; the uncertainty is the standard deviation over the trees.

    Args:
        trees: number of trees, each of a bootstrap sample.
        max_features: fraction of the features among which a split selects.
        min_samples_leaf: minimum number of samples of a leaf.

    Raises:
        NasError: if an option is out of range.
    """

    def __init__(self, trees: int = 100, max_features: float = 0.3, min_samples_leaf: int = 1) -> None:
        self.trees = trees
        self.max_features = max_features
        self.min_samples_leaf = min_samples_leaf
        self._model: Any = None

    def fit(self, features: Values, values: Values, seed: int) -> None:
        from sklearn.ensemble import RandomForestRegressor

        self._model = RandomForestRegressor(
            self.trees, max_features=self.max_features, min_samples_leaf=self.min_samples_leaf, random_state=seed
        )
        self._model.fit(features, values)

    def predict(self, features: Values) -> Prediction:
        rows = np.asarray(features, dtype=np.float32)  # the data type that the trees require
        trees = np.stack([tree.tree_.predict(rows)[:, 0] for tree in self._model.estimators_])
        return Prediction(trees.mean(axis=0), trees.std(axis=0))
