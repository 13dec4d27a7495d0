"""Options of relaxations, edges, gradients and objectives, with another value for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from nas.architecture.cell import op_counts
from nas.architecture.masks import Masks
from nas.gradients.clipped import Clipped
from nas.gradients.implicit import Implicit
from nas.gradients.mixed_level import MixedLevel
from nas.gradients.unrolled import Unrolled
from nas.nn.edges.binary_gates import BinaryGates
from nas.nn.edges.mixed import MixedEdge
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.edges.skips import AuxiliarySkip, NoisySkip
from nas.objectives.beta_decay import BetaDecay
from nas.objectives.perturbation import Adversarial, RandomNoise
from nas.objectives.reinforce import ReinforceObjective
from nas.relaxations.binary_gates import GateRelaxation
from nas.relaxations.block_gumbel import BlockCategorical, BlockGumbel
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.edge_normalized import EdgeNormalized
from nas.relaxations.enas_controller import Controller
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.proximal import Proximal
from nas.relaxations.reinmax import ReinMax
from nas.relaxations.sigmoid import Sigmoid
from nas.relaxations.single_path import SinglePath
from nas.relaxations.softmax import Softmax
from nas.relaxations.uniform import UniformWeights
from nas.relaxations.uniform_macs import UniformMacs
from nas.spaces.nats_size.space import NatsSize
from tests.support import option_tools as see
from tests.support.option_tools import SPACE, Options


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


def _prepared(relaxation: UniformMacs) -> UniformMacs:
    """Give a relaxation the number of 3x3 convolutions of a genotype as its cost."""
    relaxation.prepare(SPACE.notation, lambda genotype: op_counts(genotype).get("nor_conv_3x3", 0))
    return relaxation


RELAXATIONS: dict[str, Sequence[Options]] = {
    "nas.relaxations.softmax.Softmax": relaxations(Softmax, init_std=0.5, init_mean=0.5),
    "nas.relaxations.gumbel.Gumbel": relaxations(Gumbel, hard=False, tau=1.0, init_std=0.5, init_mean=0.5),
    "nas.relaxations.reinmax.ReinMax": relaxations(
        ReinMax, {"init_std": 0.1}, execute="sampled", tau=2.0, init_std=0.5, init_mean=0.5
    ),
    "nas.relaxations.proximal.Proximal": relaxations(Proximal, init_std=0.5, init_mean=0.7),
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
    "nas.gradients.mixed_level.MixedLevel": [
        Options(
            MixedLevel,
            {},
            {"train_weight": 0.5, "val_weight": 0.5, "gradient": Unrolled()},
            see.architecture_gradient,
        )
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
}
