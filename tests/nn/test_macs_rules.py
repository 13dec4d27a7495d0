"""nas.nn.macs: counting rules against figures of other tools and against counts by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.nn.macs import RULES, count_macs, count_operations, count_parameters
from nas.nn.pooling import GlobalPool
from nas.spaces.nas_bench_201.notation import from_index
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from nas.zoo.architectures import get_architecture
from tests.support.zoo_tools import DATASETS, build_network

CIFAR, _ = DATASETS["cifar10"]


@pytest.mark.parametrize(
    ("rule", "millions"), [("macs_bias", 15.64737), ("thop_2020", 16.4646), ("ptflops", 16.8106), ("macs", 15.64736)]
)
def test_count_operations_matches_other_tools(rule: str, millions: float) -> None:
    """Compare with thop and ptflops as quoted for NATS-Bench (issue 24), and with the stored figure."""
    network = NasBench201(CIFAR, 10).network(from_index(0))
    places = len(str(millions).partition(".")[2])
    assert round(count_operations(network, CIFAR, rule) / 1e6, places) == millions


def test_count_operations_of_each_layer_by_hand() -> None:
    """Count 8x8 images of 3 channels, a 3x3 convolution to 4 channels with a bias, and further layers."""
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),  # 256 outputs of 27 products
        nn.BatchNorm2d(4),  # 256
        nn.ReLU(),
        nn.AvgPool2d(3, 2, padding=1),  # 64 of 256
        nn.MaxPool2d(2),  # 16 of 64
        GlobalPool(),  # 4 of 16
        nn.Linear(4, 5),  # 5 outputs of 4 products
    )
    expected = {
        "macs": 256 * 27 + 20,
        "macs_bias": 256 * 28 + 25,
        "flops": 2 * (256 * 27 + 20),
        "thop_2019": 256 * 28 + 4 * 256 + 4 * 64 + 20 + 5 * 8,
        "thop_2019_without_norm": 256 * 28 + 4 * 64 + 20 + 5 * 8,
        "thop_2020": 256 * 28 + 2 * 256 + 64 + 20 + 20,
        "ptflops": 256 * 28 + 2 * 256 + 256 + 256 + 64 + 16 + 25,
    }
    assert {rule: count_operations(network, (3, 8, 8), rule) for rule in RULES} == expected


@pytest.mark.parametrize("name", ["nasnet", "fairdarts_a", "SETN", "SNAS_aggressive", "GDAS_F1"])
def test_count_operations_flops_match_pytorch(name: str) -> None:
    network = build_network(get_architecture(name), "cifar10", channels=8, layers=3).to_empty(device="cpu")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, *CIFAR))
    assert count_operations(network, CIFAR, "flops") == counter.get_total_flops() == 2 * count_macs(network, CIFAR)


def test_count_operations_matches_a_figure_of_fairdarts() -> None:
    """Expect 558 M for PC-DARTS; a pool shared by edges is counted once per edge."""
    network = build_network(get_architecture("PC-DARTS"), "cifar10")
    assert round(count_operations(network, CIFAR, "thop_2019_without_norm") / 1e6, 2) == 558.26


def test_count_operations_on_the_meta_device() -> None:
    meta = build_network(get_architecture("DARTS"), "cifar10", channels=8, layers=3)
    real = build_network(get_architecture("DARTS"), "cifar10", channels=8, layers=3).to_empty(device="cpu")
    for rule in RULES:
        assert count_operations(meta, CIFAR, rule) == count_operations(real, CIFAR, rule)
    assert all(p.is_meta for p in meta.parameters()) and count_parameters(meta) == count_parameters(real)


class RejectsEmptyBatch(nn.Module):
    """Network whose reshape fails for an empty batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)
        self.linear = nn.Linear(2 * 4 * 4, 7)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(self.conv(x).view(len(x), -1))
        return out


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_count_macs_of_a_network_that_rejects_empty_batches(device: str) -> None:
    assert count_macs(RejectsEmptyBatch().to(device), (3, 4, 4)) == 2 * 16 * 3 + 32 * 7


def test_count_operations_rejects_an_unknown_rule() -> None:
    with pytest.raises(NasError, match="unknown counting rule 'thop': did you mean .*thop_2020"):
        count_operations(RejectsEmptyBatch(), (3, 4, 4), "thop")
