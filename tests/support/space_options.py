"""Options of search spaces and discretizations, with another value for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from nas.architecture.discretization import discretize_by_threshold, discretize_with_max_skips
from nas.choices import ModelSpace
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_1shot1.space import NasBench1Shot1
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.spaces.recurrent.space import Recurrent
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.spaces.single_path.shufflenet_v2 import ShuffleNetV2Space
from nas.spaces.trans_nas_bench_101.micro import TransNasBench101Micro
from tests.support import option_tools as see
from tests.support.choice_tools import NET
from tests.support.option_tools import Options


def discretizations(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that derives a DARTS cell from fixed scores, with many skip connections, by a rule."""
    cell = Darts((3, 8, 8), 10).cells["normal"]
    scores = torch.rand(14, 8, generator=torch.Generator().manual_seed(0))
    scores[:, cell.ops.index("skip_connect")] += 0.4
    return partial(rule, cell, scores)


CHAIN = {"widths": [8, 12], "depths": [1, 2], "strides": [2, 1], "stem_width": 4, "head": 8}


DARTS = {"channels": 2, "layers": 3, "ops": ["none", "skip_connect", "sep_conv_3x3", "avg_pool_3x3"]}


SPACES: dict[str, Sequence[Options]] = {
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
