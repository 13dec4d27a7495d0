"""Tests of the MobileNetV2 space."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nas.nn.macs import count_macs, count_parameters
from nas.spaces.notation import parse_genotype
from nas.spaces.registry import space_of
from nas.spaces.single_path.mobilenet_v2 import PROXYLESS_LAYOUT, MobileNetV2Space, parse
from nas.spaces.single_path.mobilenet_v2_network import make_divisible
from nas.zoo.architectures import get_architecture

IMAGE = (3, 224, 224)
# Parameters and multiply-adds of the authors' networks; squeeze-and-excitation ratio
SIZES = [
    ("FairNAS-A", 0.0, 4_651_352, 388.123),
    ("FairNAS-B", 0.0, 4_506_272, 345.298),
    ("FairNAS-C", 0.0, 4_397_864, 321.025),
    ("FairNAS-A-SE", 0.5, 5_881_920, 389.344),
    ("FairNAS-B-SE", 0.5, 5_693_040, 346.475),
    ("FairNAS-C-SE", 0.5, 5_551_776, 322.170),
    ("FairNAS-A", 1.0, 7_103_512, 390.564),
    ("FairNAS-C", 1.0, 6_697_720, 323.315),
    ("NoisyDARTS-A", 0.25, 5_547_124, 446.669),
    ("NoisyDARTS-A", 0.0, 4_882_184, 446.015),
]


def build(name: str, classes: int = 1000, **options: Any) -> nn.Module:
    entry = get_architecture(name)
    genotype = parse_genotype(entry.genotype)
    with torch.device("meta"):
        return space_of(genotype, IMAGE, classes).network(genotype, **{**entry.network, **options})


@pytest.mark.parametrize(("name", "squeeze", "parameters", "macs"), SIZES)
def test_published_networks_have_the_published_size(name: str, squeeze: float, parameters: int, macs: float) -> None:
    network = build(name, squeeze=squeeze)
    assert (count_parameters(network), round(count_macs(network, IMAGE) / 1e6, 3)) == (parameters, macs)


def test_heads_for_ten_classes_have_the_published_size() -> None:
    assert count_parameters(build("FairNAS-A-SE", 10)) == 4_613_730
    assert count_parameters(build("NoisyDARTS-A", 10)) == 4_278_934


def test_activations_follow_the_publications() -> None:
    kinds = {name: {type(m) for m in build(name).modules()} for name in ("FairNAS-A", "NoisyDARTS-A")}
    assert nn.ReLU6 in kinds["FairNAS-A"] and not {nn.ReLU, nn.SiLU} & kinds["FairNAS-A"]
    assert {nn.ReLU, nn.SiLU} <= kinds["NoisyDARTS-A"] and nn.ReLU6 not in kinds["NoisyDARTS-A"]


def test_length_of_a_genotype_selects_the_layout() -> None:
    genotype = parse("mobile:" + "-".join(["k3e6"] * 21))
    space = space_of(genotype, (3, 32, 32), 10)
    assert isinstance(space, MobileNetV2Space) and space.layout == PROXYLESS_LAYOUT
    space.check(genotype)


def test_network_omits_skips() -> None:
    space, blocks = MobileNetV2Space((3, 32, 48), 10), ["k3e6"] * 19
    full = space.network(parse(f"mobile:{'-'.join(blocks)}"))
    blocks[1] = blocks[3] = "skip"
    less = space.network(parse(f"mobile:{'-'.join(blocks)}"))
    assert len(full.get_submodule("blocks")) == 20 and len(less.get_submodule("blocks")) == 18  # type: ignore[arg-type]


def test_make_divisible_rounds_as_mobilenet() -> None:
    assert [make_divisible(v, 8) for v in (3, 12, 19.9, 44, 120)] == [8, 16, 24, 48, 120]
    assert [make_divisible(v, 1) for v in (0.3, 4.0, 4.5, 1.2)] == [1, 4, 5, 2]


def test_initialization_is_by_the_outgoing_size() -> None:
    torch.manual_seed(0)
    network = MobileNetV2Space((3, 8, 8), 100, stem_width=64, head=512).supernet()
    stem = network.get_parameter("conv_stem.weight").detach()
    assert float(stem.std()) == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.1)
    depthwise = network.get_parameter("chain.graph.edges.18_19.mbconv6_7x7.conv_dw.weight").detach()
    assert float(depthwise.std()) == pytest.approx((2 / (49 * 1152)) ** 0.5, rel=0.05), "groups do not count"
    assert float(network.get_parameter("classifier.weight").detach().abs().max()) == pytest.approx(0.1, rel=0.01)
