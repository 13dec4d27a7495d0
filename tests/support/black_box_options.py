"""Options of black-box strategies and predictors, with another value for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from nas.blackbox.pareto.objectives import Objectives
from nas.blackbox.predictors.boosted_trees import BoostedTrees
from nas.blackbox.predictors.gaussian_process import GaussianProcess
from nas.blackbox.predictors.mlp_ensemble import MLPEnsemble
from nas.blackbox.predictors.random_forest import RandomForest
from nas.blackbox.strategies.bohb import Bohb
from nas.blackbox.strategies.constrained_evolution import ConstrainedEvolution
from nas.blackbox.strategies.nsga2 import Nsga2
from nas.blackbox.strategies.predictor_guided import PredictorGuided
from nas.blackbox.strategies.regularized_evolution import RegularizedEvolution
from nas.blackbox.strategies.reinforce import ReinforceStrategy
from tests.support import option_tools as see
from tests.support.option_tools import SPACE, Options


def strategies(kind: Any, base: Mapping[str, Any] | None = None, **changes: Any) -> list[Options]:
    """Return the options of a black-box strategy."""
    return [Options(partial(kind, SPACE), base or {}, changes, see.asked)]


def predictors(kind: Any, base: Mapping[str, Any] | None = None, **changes: Any) -> list[Options]:
    """Return the options of a predictor."""
    return [Options(kind, base or {}, changes, see.predicted)]


def nsga2(space: Any, **options: Any) -> Nsga2:
    """Build NSGA-II with objectives."""
    strategy = Nsga2(space, **options)
    strategy.objectives = Objectives(space, ["value", "macs"])
    return strategy


TREES = partial(BoostedTrees, members=2, trees=3)


BLACK_BOX: dict[str, Sequence[Options]] = {
    "nas.blackbox.strategies.nsga2.Nsga2": strategies(
        nsga2,
        {"population": 10},
        population=20,
        crossover_probability=0.1,
        swap_probability=0.9,
        mutation_probability=0.5,
    ),
    "nas.blackbox.strategies.bohb.Bohb": strategies(
        Bohb,
        {"min_points": 4},
        **{"rungs": 2, "eta": 2, "model": "optuna", "num_samples": 8, "random_fraction": 0.5, "top": 0.5},
        **{"min_points": 8, "min_bandwidth": 0.8},
    ),
    "nas.blackbox.strategies.predictor_guided.PredictorGuided": strategies(
        PredictorGuided,
        {"predictor": TREES, "candidates": 20, "initial": 30},
        **{"predictor": partial(TREES, depth=1), "encoding": "one_hot", "max_paths": 30, "acquisition": "mean"},
        **{"initial": 20, "batch": 5, "candidates": 25, "parents": 1, "mutations": 1.5},
    ),
    "nas.blackbox.predictors.mlp_ensemble.MLPEnsemble": predictors(
        MLPEnsemble,
        {"members": 2, "layers": 2, "epochs": 3},
        **{"members": 3, "layers": 1, "width": 5, "epochs": 4, "batch_size": 7, "lr": 0.02},
    ),
    "nas.blackbox.predictors.gaussian_process.GaussianProcess": predictors(
        GaussianProcess, kernel="rbf", length_scale=2.0, noise=0.5
    ),
    "nas.blackbox.predictors.random_forest.RandomForest": predictors(
        RandomForest, {"trees": 5}, trees=6, max_features=0.9, min_samples_leaf=3
    ),
    "nas.blackbox.predictors.boosted_trees.BoostedTrees": predictors(
        BoostedTrees,
        {"members": 2, "trees": 5},
        **{"library": "xgboost", "members": 3, "trees": 6, "depth": 1, "lr": 0.2, "subsample": 0.9},
    ),
    "nas.blackbox.strategies.regularized_evolution.RegularizedEvolution": strategies(
        RegularizedEvolution, population=5, sample=5, by_node=True
    ),
    "nas.blackbox.strategies.constrained_evolution.ConstrainedEvolution": [
        Options(
            partial(ConstrainedEvolution, SPACE),
            {"population": 4, "parents": 2, "mutations": 2, "crossovers": 1},
            {
                "population": 5,
                "parents": 1,
                "mutations": 1,
                "crossovers": 2,
                "gene_probability": 0.9,
                "max_macs": 6e4,
            },
            see.asked,
        )
    ],
    "nas.blackbox.strategies.reinforce.ReinforceStrategy": strategies(
        ReinforceStrategy, {"lr": 0.1}, lr=0.5, momentum=0.5, init_std=0.5
    ),
}
