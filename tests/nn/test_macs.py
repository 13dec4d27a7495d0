"""nas.nn.macs: parameters and multiply-adds, against published figures and the counter of PyTorch."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.architecture.cell import Genotype
from nas.nn.macs import count_macs, count_parameters
from nas.nn.ops import OPS, OpOptions
from nas.spaces.base import Network, Shape, Space
from nas.spaces.darts.notation import DARTS_OPS, from_pairs
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.notation import from_index, from_ops
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.notation import parse_genotype

CIFAR: Shape = (3, 32, 32)
IMAGENET: Shape = (3, 224, 224)
DATA: dict[str, tuple[Shape, int]] = {
    "cifar10": (CIFAR, 10),
    "cifar100": (CIFAR, 100),
    "ImageNet16-120": ((3, 16, 16), 120),
}
# Parameters and MACs of the skeleton, then MACs of a 1x1 and of a 3x3 edge, measured with the published code.
PUBLISHED = {
    "cifar10": (73_306, 7_783_050, 3_932_160, 35_389_440),
    "cifar100": (79_156, 7_788_900, 3_932_160, 35_389_440),
    "ImageNet16-120": (80_456, 1_953_400, 983_040, 8_847_360),
}
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), "
    "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


def published_cost(ops: tuple[str, ...], data: str) -> tuple[int, int]:
    parameters, base, one, three = PUBLISHED[data]
    n1, n3 = ops.count("nor_conv_1x1"), ops.count("nor_conv_3x3")
    return parameters + 28_000 * n1 + 243_040 * n3, base + one * n1 + three * n3


def counted(ops: tuple[str, ...], shape: Shape, classes: int, **size: int) -> tuple[int, int]:
    network = NasBench201(shape, classes).network(from_ops(ops), **size)
    return count_parameters(network), count_macs(network, shape, bias=True)


def test_count_macs_matches_the_published_formula_of_nas_bench_201() -> None:
    """Count a network for each number of 1x1 and 3x3 edges; the other ops cost nothing."""
    rng = random.Random(0)
    for n1 in range(7):
        for n3 in range(7 - n1):
            free = rng.choices(["none", "skip_connect", "avg_pool_3x3"], k=6 - n1 - n3)
            ops = ["nor_conv_1x1"] * n1 + ["nor_conv_3x3"] * n3 + free
            rng.shuffle(ops)
            assert counted(tuple(ops), *DATA["cifar10"]) == published_cost(tuple(ops), "cifar10"), ops


# Index, then MACs and parameters in millions on the three data sets, measured with the published code.
TABLE = [
    (1651, "7.78305 0.073306 7.78890 0.079156 1.95340 0.080456"),
    (1835, "7.78305 0.073306 7.78890 0.079156 1.95340 0.080456"),
    (7581, "7.78305 0.073306 7.78890 0.079156 1.95340 0.080456"),
    (4317, "31.37601 0.241306 31.38186 0.247156 7.85164 0.248456"),
    (1462, "220.11969 1.531546 220.12554 1.537396 55.03756 1.538696"),
    (10636, "113.95137 0.802426 113.95722 0.808276 28.49548 0.809576"),
    (5292, "153.27297 1.073466 153.27882 1.079316 38.32588 1.080616"),
    (11472, "78.56193 0.559386 78.56778 0.565236 19.64812 0.566536"),
    (12218, "117.88353 0.830426 117.88938 0.836276 29.47852 0.837576"),
    (3521, "11.71521 0.101306 11.72106 0.107156 2.93644 0.108456"),
    (6960, "43.17249 0.316346 43.17834 0.322196 10.80076 0.323496"),
]


@pytest.mark.parametrize(("index", "row"), TABLE)
def test_count_macs_matches_the_published_counter_of_nas_bench_201(index: int, row: str) -> None:
    genotype = from_index(index)
    found: list[str] = []
    for shape, classes in DATA.values():
        network = NasBench201(shape, classes).network(genotype)
        found += [f"{count_macs(network, shape, bias=True) / 1e6:.5f}", f"{count_parameters(network) / 1e6:.6f}"]
    assert " ".join(found) == row


def darts_figures(genotype: Genotype, **options: Any) -> list[str]:
    """Return parameters without and with the auxiliary head, and MACs, in millions, for CIFAR and ImageNet."""
    found = []
    sizes: tuple[tuple[Shape, int, dict[str, Any]], ...] = (
        (CIFAR, 10, {}),
        (IMAGENET, 1000, {"channels": 48, "layers": 14, "stem": "imagenet"}),
    )
    for shape, classes, size in sizes:
        network = Darts(shape, classes).network(genotype, **size, **options)
        counts = count_parameters(network), count_parameters(network, auxiliary=True)
        found += [f"{n / 1e6:.4f}" for n in counts] + [f"{count_macs(network, shape) / 1e6:.3f}"]
    return found


def test_count_macs_of_darts_v2() -> None:
    found = darts_figures(parse_genotype(DARTS_V2))
    assert found == ["3.3493", "3.8258", "528.359", "4.7188", "5.9795", "529.912"]


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["PC_DARTS_cifar", "noisy_darts_a", "PDARTS", "DrNAS_cifar10", "TENAS_imagenet", "SNAS_mild"]
)
def test_count_macs_of_published_genotypes(shared: Path, name: str) -> None:
    entry = json.loads((shared / "specs" / "genotypes.json").read_text())[name]
    cells = {kind: from_pairs(map(tuple, entry[kind]), entry[f"{kind}_concat"]) for kind in ("normal", "reduce")}
    options: dict[str, dict[str, Any]] = {
        "DrNAS_cifar10": {"pool_norm": "plain"},
        "TENAS_imagenet": {"pool_norm": "plain"},
        "SNAS_mild": {"pool_norm": "affine", "auxiliary_norm": True},
        "PDARTS": {"auxiliary_norm": True},
    }
    expected = []
    for size in ("cifar10_C36_L20_32x32", "imagenet_C48_L14_224x224"):
        computed = entry["computed"][size]
        expected += [f"{computed[f'params_M_{w}_aux']:.4f}" for w in ("without", "with")]
        expected += [f"{computed['madds_M_conv_plus_linear']:.3f}"]
    assert darts_figures(Genotype("darts", cells), **options.get(name, {})) == expected


@pytest.mark.parametrize(
    ("op", "stride", "expected"),
    [("sep_conv_3x3", 1, 864), ("sep_conv_5x5", 1, 1376), ("dil_conv_3x3", 1, 432), ("dil_conv_5x5", 1, 688)]
    + [("skip_connect", 1, 0), ("skip_connect", 2, 288), ("max_pool_3x3", 1, 0), ("avg_pool_3x3", 2, 0)],
)
def test_count_parameters_of_ops(op: str, stride: int, expected: int) -> None:
    assert count_parameters(OPS[op](16, stride, OpOptions())) == expected


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (NasBench201(CIFAR, 10), 1_692_826),
        (NasBench201(CIFAR, 10, affine=True), 1_699_546),
        (Darts(CIFAR, 10), 1_930_618),
        (Darts(CIFAR, 10, ops=DARTS_OPS[1:]), 1_930_618),
    ],
    ids=["nas_bench_201", "nas_bench_201_affine", "darts", "darts_without_none"],
)
def test_count_parameters_of_supernets(space: Space, expected: int) -> None:
    assert count_parameters(space.supernet()) == expected


def networks() -> Iterator[tuple[Network, Shape]]:
    rng = random.Random(3)
    for shape in (CIFAR, (1, 17, 30)):
        bench = NasBench201(shape, 10)
        space = Darts(shape, 10, ops=[op for op in OPS if op != "noise"])
        yield bench.network(bench.sample(rng), channels=4, cells_per_stage=1), shape
        for stem in ("cifar", "imagenet"):
            yield space.network(space.sample(rng), channels=6, layers=4, stem=stem), shape


def test_count_macs_is_half_the_flops_of_pytorch() -> None:
    for network, shape in networks():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.eval()(torch.zeros(1, *shape))
        assert 2 * count_macs(network, shape) == counter.get_total_flops()


class SideEffects(nn.Module):
    """Network that samples noise, updates a buffer in every mode, and may fail."""

    steps: Tensor

    def __init__(self, fail: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, (3, 1), padding=(1, 0), groups=2)
        self.norm = nn.BatchNorm2d(6)
        self.linear = nn.Linear(6, 5, bias=False)
        self.register_buffer("steps", torch.zeros(()))
        self.fail = fail

    def forward(self, x: Tensor) -> Tensor:
        self.steps += 1
        out = self.norm(self.conv(x + torch.randn_like(x)))
        if self.fail:
            raise ValueError("no")
        return self.linear(out.mean(dim=(2, 3)))


@pytest.mark.parametrize("fail", [False, True])
def test_count_macs_has_no_side_effects(fail: bool) -> None:
    network = SideEffects(fail).double()
    network.norm.eval()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    random_state = torch.get_rng_state()
    if fail:
        with pytest.raises(ValueError, match="no"):
            count_macs(network, (4, 5, 7))
    else:
        assert count_macs(network, (4, 5, 7)) == 3 * 2 * 6 * 5 * 7 + 6 * 5
        assert count_macs(network, (4, 5, 7), bias=True) == 3 * 2 * 6 * 5 * 7 + 6 * 5 * 7 + 6 * 5
    assert network.training and network.conv.training and not network.norm.training
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.gpu
def test_count_macs_on_a_gpu() -> None:
    space = NasBench201(CIFAR, 10)
    network = space.network(from_index(4317)).to("cuda")
    before = torch.cuda.get_rng_state()
    assert count_macs(network, CIFAR, bias=True) == 31_376_010
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert all(p.is_cuda for p in network.parameters())
