"""nas.spaces.network_cost: parameters and multiply-adds of final networks in every space."""

from __future__ import annotations

import random
from typing import Any

import pytest

import nas.choices
from nas.architecture.cost import GenotypeCost
from nas.nn.macs import count_operations
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.spaces.network_cost import network_costs
from nas.spaces.recurrent.space import Recurrent
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.spaces.single_path.shufflenet_v2 import OPS, ShuffleNetV2Space
from tests.support.choice_models import Net

SHAPE = (3, 16, 16)


CASES: dict[str, tuple[Space, dict[str, Any]]] = {
    "nas_bench_201": (NasBench201(SHAPE, 10, channels=4), {"channels": 8, "cells_per_stage": 1}),
    "darts": (Darts(SHAPE, 10, channels=4, layers=3), {"channels": 8, "layers": 4, "auxiliary": True}),
    "nats_size": (NatsSize(SHAPE, 10, widths=(8, 16, 24)), {}),
    "mobile": (MobileNetV2Space(SHAPE, 10, ("mbconv3_3x3", "skip_connect"), (8, 8), (2, 1), (1, 2), 8, 1, 8, 16), {}),
    "shufflenet": (ShuffleNetV2Space(SHAPE, 10, OPS, (24, 32), (1, 2), (2, 2)), {"head": 16}),
    "recurrent": (Recurrent((), 50, hidden_size=8), {"hidden_size": 16}),
    "choices": (nas.choices.space(Net, SHAPE, 10), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_costs_are_those_of_the_trained_network(name: str) -> None:
    space, options = CASES[name]
    parameters, macs = network_costs(space, **options)
    assert isinstance(parameters, GenotypeCost)
    assert isinstance(macs, GenotypeCost)
    for seed in range(3):
        genotype = space.sample(random.Random(seed))
        network = space.network(genotype, **options)
        weights = sum(p.numel() for key, p in network.named_parameters() if "auxiliary" not in key)
        assert parameters(genotype) == weights
        rule = "macs_bias" if name in ("nas_bench_201", "nats_size") else "macs"
        assert macs(genotype) == count_operations(network, space.shape, rule)


def test_a_genotype_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    space, options = CASES["choices"]
    parameters, macs = network_costs(space, **options)
    genotype = space.sample(random.Random(0))
    first = parameters(genotype), macs(genotype)
    monkeypatch.setattr(space, "network", None)
    assert (parameters(genotype), macs(genotype)) == first
