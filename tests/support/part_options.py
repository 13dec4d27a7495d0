"""Options of the other configured classes, with another value for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from nas.architecture.cell import op_counts
from nas.architecture.discretization import discretize_by_threshold, discretize_with_max_skips
from nas.architecture.masks import Masks
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
from nas.callbacks.enas_controller_training import ControllerTraining
from nas.callbacks.schedules.anneal import Anneal
from nas.callbacks.schedules.p_darts import SkipDropoutSchedule
from nas.callbacks.schedules.width_warmup import WidthWarmup
from nas.choices import ModelSpace
from nas.gradients.clipped import Clipped
from nas.gradients.implicit import Implicit
from nas.gradients.unrolled import Unrolled
from nas.nn.edges.binary_gates import BinaryGates
from nas.nn.edges.mixed import MixedEdge
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.edges.skips import AuxiliarySkip, NoisySkip
from nas.objectives.beta_decay import BetaDecay
from nas.objectives.perturbation import Adversarial, RandomNoise
from nas.objectives.reinforce import ReinforceObjective
from nas.proxies import (
    az_nas,
    epe_nas,
    gradient_based,
    jacob_cov,
    linear_regions,
    meco,
    naswot,
    ntk,
    params_macs,
    swap,
    synflow,
    wrcor,
    zen,
    zico,
)
from nas.proxies.fisher import Fisher
from nas.relaxations.binary_gates import GateRelaxation
from nas.relaxations.block_gumbel import BlockCategorical, BlockGumbel
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.edge_normalized import EdgeNormalized
from nas.relaxations.enas_controller import Controller
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.reinmax import ReinMax
from nas.relaxations.sigmoid import Sigmoid
from nas.relaxations.single_path import SinglePath
from nas.relaxations.softmax import Softmax
from nas.relaxations.uniform import UniformWeights
from nas.relaxations.uniform_macs import UniformMacs
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_1shot1.space import NasBench1Shot1
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.spaces.recurrent.space import Recurrent
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.spaces.single_path.shufflenet_v2 import ShuffleNetV2Space
from nas.spaces.trans_nas_bench_101.micro import TransNasBench101Micro
from nas.training.language_model import LanguageModelTraining
from nas.training.lr_schedule import LRDecay
from nas.training.network_training import Training
from nas.training.search_lr import CosineThenProjection, StagedCosine
from tests.support import option_tools as see
from tests.support.choice_tools import NET
from tests.support.option_tools import SPACE, Options
from tests.training.test_language_model import SGD as SGD_ON_TEXT
from tests.training.test_language_model import network as language_model
from tests.training.test_network_training import SGD, Small


def relaxations(kind: Any, base: Mapping[str, Any] | None = None, **changes: Any) -> list[Options]:
    """Return the options of a relaxation on NAS-Bench-201."""
    return [Options(partial(kind, SPACE.cells), base or {}, changes, see.relaxation)]


def widths(kind: Any, **changes: Any) -> list[Options]:
    """Return the options of a relaxation over widths."""
    cells = NatsSize((3, 8, 8), 10, (2, 3, 5, 8)).cells
    return [Options(partial(kind, cells), {"rows": [0, 0, 1, 2, 3, 4]}, changes, see.relaxation)]


def edges(kind: Any, **changes: Any) -> list[Options]:
    """Return the options of an edge."""
    return [Options(partial(see.edge, kind), {}, changes, see.mixture)]


def proxies(kind: Any, **changes: Any) -> list[Options]:
    """Return the options of a proxy."""
    return [Options(kind, {"batch_size": 6} if "batch_size" in changes else {}, changes, see.score)]


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


def schedulers(kind: Any, base: Mapping[str, Any], **changes: Any) -> list[Options]:
    """Return the options of a scheduler."""
    return [Options(see.optimizer_with(kind), base, changes, see.learning_rates)]


def discretizations(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that derives a DARTS cell from fixed scores, with many skip connections, by a rule."""
    cell = Darts((3, 8, 8), 10).cells["normal"]
    scores = torch.rand(14, 8, generator=torch.Generator().manual_seed(0))
    scores[:, cell.ops.index("skip_connect")] += 0.4
    return partial(rule, cell, scores)


CHAIN = {"widths": [8, 12], "depths": [1, 2], "strides": [2, 1], "stem_width": 4, "head": 8}


def _prepared(relaxation: UniformMacs) -> UniformMacs:
    """Give a relaxation the number of 3x3 convolutions of a genotype as its cost."""
    relaxation.prepare(SPACE.notation, lambda genotype: op_counts(genotype).get("nor_conv_3x3", 0))
    return relaxation


TREES = partial(BoostedTrees, members=2, trees=3)
DARTS = {"channels": 2, "layers": 3, "ops": ["none", "skip_connect", "sep_conv_3x3", "avg_pool_3x3"]}
PARTS: dict[str, Sequence[Options]] = {
    "nas.relaxations.softmax.Softmax": relaxations(Softmax, init_std=0.5, init_mean=0.5),
    "nas.relaxations.gumbel.Gumbel": relaxations(Gumbel, hard=False, tau=1.0, init_std=0.5, init_mean=0.5),
    "nas.relaxations.reinmax.ReinMax": relaxations(
        ReinMax, {"init_std": 0.1}, execute="sampled", tau=2.0, init_std=0.5, init_mean=0.5
    ),
    "nas.relaxations.single_path.SinglePath": relaxations(SinglePath, init_std=0.5, init_mean=0.5),
    "nas.relaxations.binary_gates.GateRelaxation": relaxations(
        GateRelaxation, paths="two", zero_ops=["none"], init_std=0.5, init_mean=0.5
    ),
    "nas.relaxations.uniform_macs.UniformMacs": [
        Options(
            lambda **options: _prepared(UniformMacs(SPACE.cells, **options)),
            {"bins": [4.0, 6.0]},
            {"bins": [0.0, 1.0], "tries": 1},
            see.relaxation,
        )
    ],
    "nas.relaxations.uniform.UniformWeights": relaxations(UniformWeights, init_std=0.5, init_mean=0.5),
    "nas.relaxations.sigmoid.Sigmoid": relaxations(
        Sigmoid, {"init_std": 0.1}, zero_one_loss="l1", zero_one_weight=1.0, init_std=0.5
    ),
    "nas.relaxations.dirichlet.Dirichlet": relaxations(
        Dirichlet, {"init_std": 0.1}, regularizer="kl", reg_scale=0.1, init_std=0.5
    ),
    "nas.relaxations.edge_normalized.EdgeNormalized": relaxations(EdgeNormalized, relaxation=Gumbel, init_std=0.5),
    "nas.relaxations.enas_controller.Controller": [
        Options(
            partial(Controller, SPACE.cells),
            {},
            {"hidden": 16, "layers": 1, "temperature": 1.0, "bound": 1.0, "spread": 0.5},
            see.controller,
        )
    ],
    "nas.relaxations.block_gumbel.BlockGumbel": widths(
        BlockGumbel, rows=[0, 1, 1, 2, 3, 4], pair=True, tau=1.0, init_std=0.5, init_mean=0.5
    ),
    "nas.relaxations.block_gumbel.BlockCategorical": widths(
        BlockCategorical, rows=[0, 0, 1], init_std=5.0, init_mean=0.5
    ),
    "nas.nn.edges.mixed.MixedEdge": edges(MixedEdge, add_inactive=True),
    "nas.nn.edges.binary_gates.BinaryGates": edges(BinaryGates, add_inactive=True),
    "nas.nn.edges.partial_channels.PartialChannels": edges(PartialChannels, channel_divisor=2),
    "nas.nn.edges.skips.AuxiliarySkip": edges(AuxiliarySkip, beta=0.5, auxiliary="conv"),
    "nas.nn.edges.skips.NoisySkip": edges(
        NoisySkip, distribution="uniform", mode="multiplicative", scale=0.5, mean=0.5, drop_path_prob=0.9
    ),
    "nas.gradients.clipped.Clipped": [
        Options(Clipped, {"norm": 0.5}, {"norm": 0.1, "gradient": Unrolled()}, see.architecture_gradient)
    ],
    "nas.gradients.unrolled.Unrolled": [
        Options(
            Unrolled, {}, {"radius": 1.0, "exact": True, "clip_norm": 0.1, "unmoved": ["w"]}, see.architecture_gradient
        )
    ],
    "nas.gradients.implicit.Implicit": [Options(Implicit, {}, {"order": 0, "radius": 1.0}, see.architecture_gradient)],
    "nas.objectives.beta_decay.BetaDecay": [
        Options(
            BetaDecay, {}, {"factor": 2.0}, lambda built: float(built(Softmax(SPACE.cells).alpha, Masks(SPACE.cells)))
        )
    ],
    "nas.objectives.perturbation.RandomNoise": [Options(RandomNoise, {}, {"eps": 0.1}, see.perturbation)],
    "nas.objectives.perturbation.Adversarial": [
        Options(Adversarial, {"eps": 0.05}, {"eps": 0.1, "steps": 1}, see.perturbation)
    ],
    "nas.objectives.reinforce.ReinforceObjective": [
        Options(
            ReinforceObjective,
            {},
            {"momentum": 0.5, "samples": 3},
            lambda built: [built.advantage(torch.arange(built.samples) + value).tolist() for value in (10.0, 30.0)],
        )
    ],
    "nas.objectives.cost_target.CostTarget": [
        Options(
            see.cost_target,
            {"target": 4e5},
            {"cost": "parameters", "target": 1e6, "form": "add", "weight": 0.5, "exponent": 2.0},
            see.loss_with_cost,
        )
    ],
    "nas.objectives.resource_penalty.ResourcePenalty": [
        Options(
            see.resource,
            {},
            {"kind": "macs", "estimator": "policy", "log": False, "strength": 0.1, "average": False, "min_macs": 1e12},
            see.penalty,
        )
    ],
    "nas.training.lr_schedule.LRDecay": schedulers(
        LRDecay,
        {"T_max": 10},
        T_max=12,
        schedule="linear",
        warmup_epochs=2,
        eta_min=0.01,
        slow_tail_epochs={"slow_tail_epochs": 3, "schedule": "linear"},
        gamma={"gamma": 0.5, "schedule": "exponential"},
        interval="step",
        warmup_start_lr={"warmup_start_lr": 0.01, "warmup_epochs": 2},
        final_epochs_at_min=2,
    ),
    "nas.training.search_lr.CosineThenProjection": schedulers(
        CosineThenProjection,
        {"T_max": 20, "supernet_epochs": 5, "projection_epochs": 5},
        **{"T_max": 12, "supernet_epochs": 9, "projection_epochs": 9},
        **{"projection_lr": 0.05, "projection_lr_min": 0.002, "eta_min": 0.01},
    ),
    "nas.training.search_lr.StagedCosine": schedulers(
        StagedCosine, {"T_max": 20, "stages": 2}, T_max=12, stages=4, eta_min=0.01
    ),
    "nas.callbacks.schedules.anneal.Anneal": [
        Options(
            Anneal,
            {"path": "relaxation.tau", "start": 1.0, "end": 0.1},
            {"start": 2.0, "end": 0.5, "shape": "cosine", "inclusive": False, "ahead": 1, "shares": (1, 1)},
            lambda built: [built.value(epoch, 10) for epoch in range(10)],
        )
    ],
    "nas.callbacks.schedules.p_darts.SkipDropoutSchedule": [
        Options(
            SkipDropoutSchedule,
            {"initial": [0.1, 0.4]},
            {"initial": [0.2, 0.4], "decay": 0.5},
            lambda built: [built.value(epoch, 20, 3) for epoch in range(20)],
        )
    ],
    "nas.callbacks.schedules.width_warmup.WidthWarmup": [
        Options(WidthWarmup, {}, {"ratio": 0.5}, lambda built: [built.full(epoch, 10) for epoch in range(10)])
    ],
    "nas.callbacks.enas_controller_training.ControllerTraining": [
        Options(
            ControllerTraining,
            {},
            {"entropy_weight": 0.5, "baseline_decay": 0.5},
            lambda built: [
                setattr(built, "baseline", 0.25),
                [float(part) for part in built.surrogate(*(torch.tensor(v) for v in (-2.0, 1.5, 0.5)))],
            ],
        )
    ],
    "nas.training.language_model.LanguageModelTraining": [
        Options(
            lambda **options: LanguageModelTraining(language_model(), **{"optimizer": SGD_ON_TEXT, **options}),
            {},
            {
                "scheduler": {"scheduler": partial(LRDecay, T_max=2), "averaging": False},
                "activation_penalty": 1.0,
                "temporal_penalty": 1.0,
                "clip_norm": 0.01,
                "decay_norm_and_bias": False,
            },
            see.trained_on_text,
        )
    ],
    "nas.training.network_training.Training": [
        Options(
            lambda **options: Training(Small(), **{"optimizer": SGD, "classes": 5, **options}),
            {},
            {
                "scheduler": partial(LRDecay, T_max=2),
                "label_smoothing": 0.1,
                "auxiliary_weight": 1.0,
                "clip_norm": 0.1,
                "decay_norm_and_bias": False,
            },
            see.trained,
        )
    ],
    "nas.proxies.fisher.Fisher": proxies(Fisher, batch_size=5),
    "nas.proxies.gradient_based.GradNorm": proxies(gradient_based.GradNorm, batch_size=5),
    "nas.proxies.gradient_based.Snip": proxies(gradient_based.Snip, batch_size=5, signed=True),
    "nas.proxies.gradient_based.Grasp": proxies(gradient_based.Grasp, batch_size=5),
    "nas.proxies.jacob_cov.JacobCov": proxies(jacob_cov.JacobCov, batch_size=5, k=1e-2),
    "nas.proxies.linear_regions.LinearRegions": proxies(linear_regions.LinearRegions, batch_size=5),
    "nas.proxies.naswot.Naswot": proxies(naswot.Naswot, batch_size=5, also=["ReluConvNorm"]),
    "nas.proxies.ntk.Ntk": proxies(ntk.Ntk, batch_size=5, float64=False),
    "nas.proxies.params_macs.Macs": proxies(params_macs.Macs, bias=True),
    "nas.proxies.synflow.Synflow": proxies(synflow.Synflow, bn=True, keep=["Reduction"]),
    "nas.proxies.gradient_based.Plain": proxies(gradient_based.Plain, batch_size=5),
    "nas.proxies.zico.Zico": proxies(zico.Zico, batch_size=5, batches=3),
    "nas.proxies.swap.Swap": [
        Options(
            swap.Swap,
            {"batch_size": 12, "repeats": 1},  # fewer images saturate
            {"batch_size": 11, "repeats": 2, "mu": {"mu": 1.0, "sigma": 9.0}, "sigma": {"mu": 1.0, "sigma": 3.0}},
            see.score,
        )
    ],
    "nas.proxies.meco.Meco": proxies(meco.Meco, channels=2),
    "nas.proxies.epe_nas.EpeNas": proxies(epe_nas.EpeNas, batch_size=5),
    "nas.proxies.wrcor.WrCor": proxies(wrcor.WrCor, batch_size=5, also=["ReluConvNorm"]),
    "nas.proxies.az_nas.Expressivity": proxies(az_nas.Expressivity, batch_size=5),
    "nas.proxies.az_nas.Progressivity": proxies(az_nas.Progressivity, batch_size=5),
    "nas.proxies.az_nas.Trainability": proxies(az_nas.Trainability, batch_size=5),
    "nas.proxies.zen.Zen": [
        Options(
            zen.Zen,
            {"batch_size": 4, "repeats": 2},
            {"batch_size": 5, "gamma": 0.1, "repeats": 3, "carry": False},
            see.score,
        )
    ],
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
    "nas.architecture.discretization.discretize_by_threshold": [
        Options(discretizations(discretize_by_threshold), {}, {"threshold": 0.5, "keep": "edge"}, str)
    ],
    "nas.architecture.discretization.discretize_with_max_skips": [
        Options(discretizations(discretize_with_max_skips), {}, {"max_skips": 0, "op": "sep_conv_3x3"}, str)
    ],
    "nas.spaces.nas_bench_1shot1.space.NasBench1Shot1": [
        Options(
            partial(NasBench1Shot1, (3, 8, 8), 10),
            {"channels": 4, "cells_per_stage": 1},
            {"subspace": 2, "channels": 6, "cells_per_stage": 2, "affine": False, "track_statistics": False},
            see.supernet,
        )
    ],
    "nas.spaces.nas_bench_201.space.NasBench201": [
        Options(
            partial(NasBench201, (3, 8, 8), 10),
            {"channels": 4, "cells_per_stage": 1},
            {"channels": 6, "cells_per_stage": 2, "affine": True, "track_statistics": False, "conv_bias": False},
            see.supernet,
        )
    ],
    "nas.spaces.single_path.mobilenet_v2.MobileNetV2Space": [
        Options(
            partial(MobileNetV2Space, (3, 8, 8), 10),
            {**CHAIN, "first_width": 4},
            {
                **{"ops": ["mbconv3_3x3"], "widths": [8, 10], "depths": [2, 1], "strides": [1, 1], "stem_width": 6},
                **{"stem_stride": 1, "first_width": 6, "head": 10, "squeeze": 0.5, "activation": "swish"},
                **{"affine": False, "norm_eps": 0.1, "dropout": 0.5},
            },
            see.supernet,
        )
    ],
    "nas.spaces.single_path.shufflenet_v2.ShuffleNetV2Space": [
        Options(
            partial(ShuffleNetV2Space, (3, 8, 8), 10),
            CHAIN,
            {
                **{"ops": ["shuffle_3x3"], "widths": [8, 10], "depths": [2, 1], "strides": [1, 1], "stem_width": 6},
                **{"stem_stride": 1, "head": 10, "affine": True, "affine_ends": True, "norm_eps": 0.1, "dropout": 0.5},
            },
            see.supernet,
        )
    ],
    "nas.spaces.trans_nas_bench_101.micro.TransNasBench101Micro": [
        Options(
            partial(TransNasBench101Micro, (3, 8, 8), 10),
            {"channels": 4, "cells_per_stage": 1},
            {"channels": 6, "cells_per_stage": 2, "affine": True, "track_statistics": False},
            see.supernet,
        )
    ],
    "nas.spaces.nats_size.space.NatsSize": [
        Options(
            partial(NatsSize, (3, 8, 8), 10),
            {"widths": (2, 3, 5, 8)},
            {
                "widths": (2, 4, 6, 8),
                "mix": "interpolate",
                "affine": True,
                "track_statistics": True,
                "conv_bias": False,
            },
            see.supernet,
        )
    ],
    "nas.spaces.recurrent.space.Recurrent": [
        Options(partial(Recurrent, (), 9), {"hidden_size": 6, "nodes": 3}, see.RECURRENT, see.language_model)
    ],
    "nas.choices.model_space.ModelSpace": [
        Options(
            partial(ModelSpace, (3, 8, 8), 10),
            {"model": NET},
            {"model": "tests.support.choice_cells:Net201", "options": {"width": 6}},
            lambda space: str(space.cells),
        )
    ],
    "nas.spaces.darts.space.Darts": [
        Options(
            partial(Darts, (3, 16, 16), 10),
            DARTS,
            {
                "channels": 6,
                "layers": 4,
                "stem_multiplier": 1,
                "stem": "imagenet",
                "ops": ["skip_connect", "sep_conv_3x3"],
                "edge_ops": {kind: [["skip_connect"]] * 14 for kind in ("normal", "reduce")},
                "affine": True,
                "track_statistics": False,
                "pool_norm": "none",
                "repeats": True,
                "lastact": True,
                "conv_bias": True,
                "fixed_reduction": {"fixed_reduction": True, "channels": 8},
                "nodes": 3,
                "keeps_none": True,
            },
            see.supernet,
        )
    ],
}
