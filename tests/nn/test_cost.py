"""Counts of any module against counts by hand and PyTorch's own counter."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import nas
from nas.nn.macs import RULES
from nas.utils.errors import NasError

SHAPE = (3, 8, 8)


def network() -> nn.Sequential:
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4, 5))


def test_count_of_any_module_by_all_rules() -> None:
    module = network()
    cost = nas.count(module, SHAPE)
    conv, bias, plane, linear = 64 * 4 * 27, 64 * 4, 64 * 4, 20
    assert cost.parameters == 4 * 28 + 8 + 25 and cost.auxiliary_parameters == 0
    assert cost.operations == {
        "macs": conv + linear,
        "macs_bias": conv + bias + linear + 5,
        "flops": 2 * (conv + linear),
        "thop_2019": conv + bias + 4 * plane + (plane + 4) + 2 * linear - 5 + 5,
        "thop_2019_without_norm": conv + bias + (plane + 4) + 2 * linear - 5 + 5,
        "thop_2020": conv + bias + 2 * plane + (plane + 4) + linear,
        "ptflops": conv + bias + 2 * plane + plane + plane + linear + 5,
    }
    assert set(cost.operations) == set(RULES) and module.training


def test_flops_equal_the_counter_of_pytorch() -> None:
    module = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, groups=2, bias=False), nn.Flatten(), nn.Linear(72, 7))
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, 4, 8, 8))
    assert nas.count(module, (4, 8, 8), ["flops"]).operations == {"flops": counter.get_total_flops()}


def test_inputs_of_other_shapes_and_modules_without_parameters() -> None:
    text = nn.Sequential(nn.Linear(6, 5), nn.ReLU())
    assert nas.count(text, (10, 6), ["macs"]).operations["macs"] == 10 * 30
    assert nas.count(nn.ReLU(), (4,), ["ptflops"]).operations["ptflops"] == 4
    with pytest.raises(NasError, match="counting rule"):
        nas.count(text, (6,), ["flop"])
