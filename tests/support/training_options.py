"""Options of trainings, schedulers and callbacks, with another value for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from nas.callbacks.enas_controller_training import ControllerTraining
from nas.callbacks.schedules.anneal import Anneal
from nas.callbacks.schedules.p_darts import SkipDropoutSchedule
from nas.callbacks.schedules.width_warmup import WidthWarmup
from nas.training.language_model import LanguageModelTraining
from nas.training.lr_schedule import LRDecay
from nas.training.network_training import Training
from nas.training.search_lr import CosineThenProjection, RestartedCosine, StagedCosine
from tests.support import option_tools as see
from tests.support.option_tools import Options
from tests.training.test_language_model import SGD as SGD_ON_TEXT
from tests.training.test_language_model import network as language_model
from tests.training.test_network_training import SGD, Small


def schedulers(kind: Any, base: Mapping[str, Any], **changes: Any) -> list[Options]:
    """Return the options of a scheduler."""
    return [Options(see.optimizer_with(kind), base, changes, see.learning_rates)]


TRAINING: dict[str, Sequence[Options]] = {
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
    "nas.training.search_lr.RestartedCosine": schedulers(
        RestartedCosine,
        {"T_max": 20, "restart": 5, "of": 10},
        **{"T_max": 12, "restart": 6, "of": 20, "to_end": True, "eta_min": 0.01},
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
}
