"""Networks of TransNAS-Bench-101: figures and logits of the authors' program, and cells that widen."""

from __future__ import annotations

import random
from collections.abc import Hashable

import pytest
import torch
from torch import Tensor, nn

from nas.architecture.cell import NONE, Link
from nas.spaces.notation import parse_genotype
from nas.spaces.registry import space_of
from nas.spaces.trans_nas_bench_101.micro import TransNasBench101Micro
from nas.spaces.trans_nas_bench_101.micro_notation import EDGES, OPS, from_ops
from nas.spaces.trans_nas_bench_101.network import BasicBlock

COUNTS = {
    "64-41414-1_02_333": (22_525_738, 71_660_544),
    "64-41414-3_33_333": (41_416_746, 132_346_880),
    "64-41414-0_00_000": (24_618, 1_405_952),
    "64-41414-2_10_231": (9_241_386, 29_848_576),
    "64-1234-basic": (3_402_794, 62_482_944),
    "64-2311-basic": (2_335_530, 63_530_240),
    "64-4111-basic": (2_318_890, 38_102_272),
}
"""Parameters and multiply-adds for 10 classes and 32 x 32 pixels, counted on the networks of the authors' program."""
LOGITS = {
    "64-41414-1_02_333": (
        [-4.0962074539, 5.0932276435, -1.8663537876, 2.7063096923, 1.6501176723],
        [36.5327167519, -133.9595476528, 212.6882709605, -251.9821436303, 254.4885619096],
    ),
    "64-41414-2_13_031": (
        [0.57889285, -0.8511122237, 5.3060494297, -4.1364757539, 6.6707554379],
        [110.6334108261, -119.0853688661, 112.2298488854, -82.1240820317, 42.8663874502],
    ),
    "64-41414-0_10_201": (
        [1.7097414852, -0.1086870349, 3.1790593458, -1.1276067304, 2.6770656412],
        [-5.2634868303, -1.2791046144, 12.3001866232, -16.6958815225, 22.1261528316],
    ),
    "64-1234-basic": (
        [-0.7548907794, 0.1052864516, 1.8695909526, 1.4360976858, -0.5620408673],
        [1.9245763552, -55.6352544334, -23.4410780051, 46.9002607611, 43.2075205579],
    ),
    "64-32414-basic": (
        [-3.8387229452, 4.9255512776, -0.451326682, 0.3013358393, 3.3207285495],
        [78.5742088265, -45.8675232164, 10.3489620957, 31.2741944896, -64.3195907477],
    ),
}
"""Logits of the first image by the authors' program in training mode, and after it in evaluation mode."""


def fill(network: nn.Module) -> None:
    """Set the parameters, in their order, to values of a formula."""
    start = 0
    with torch.no_grad():
        for parameter in network.parameters():
            count = parameter.numel()
            wave = torch.arange(start, start + count, dtype=torch.float64).mul(0.7).sin()
            parameter.copy_((wave * 0.3 if parameter.dim() > 1 else wave * 0.5 + 0.8).reshape(parameter.shape))
            start = (start + count) % 10_007


@pytest.mark.parametrize("text", COUNTS)
def test_counts_equal_those_of_the_authors_program(text: str) -> None:
    genotype = parse_genotype(text)
    assert space_of(genotype, (3, 32, 32), 10).count(genotype) == COUNTS[text]


@pytest.mark.parametrize("text", LOGITS)
def test_logits_equal_those_of_the_authors_program(text: str) -> None:
    genotype = parse_genotype(text)
    network = space_of(genotype, (3, 64, 64), 5).network(genotype, channels=4).double()
    fill(network)
    x = torch.arange(2 * 3 * 64 * 64, dtype=torch.float64).mul(0.37).sin().reshape(2, 3, 64, 64)
    for training, expected in zip((True, False), LOGITS[text], strict=True):
        logits = network.train(training)(x)[0]
        torch.testing.assert_close(logits, torch.tensor(expected, dtype=torch.float64), atol=1e-7, rtol=1e-9)


def test_convolutions_have_the_initialization_of_the_authors() -> None:
    genotype = parse_genotype("64-41414-3_33_333")
    conv = space_of(genotype, (3, 32, 32), 10).network(genotype).cells[-2].edges["0_3"]["nor_conv_3x3"].op[1]
    assert (conv.in_channels, conv.out_channels) == (256, 512)
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)


def test_shortcut_changes_the_shape_only_if_needed() -> None:
    assert isinstance(BasicBlock(4, 4, 1).shortcut, nn.Identity)
    assert BasicBlock(4, 8, 2)(torch.randn(2, 4, 7, 5)).shape == (2, 8, 4, 3)


def test_supernet_computes_the_network_of_each_genotype() -> None:
    """With the weights of the supernet, restricted networks give its logits, also without edges into a node."""
    space = TransNasBench101Micro((3, 48, 48), 3, channels=4, affine=True)
    supernet = space.supernet().double().eval()
    fill(supernet)
    x = torch.randn(2, 3, 48, 48, dtype=torch.float64)
    rng = random.Random(1)
    texts = ["64-41414-0_31_021", "64-41414-1_11_111", "64-41414-0_00_003", "64-41414-2_00_000"]
    for genotype in [*map(parse_genotype, texts), *(space.sample(rng) for _ in range(4))]:
        network = space.network(genotype, **space.supernet_size()).double().eval()
        own = set(network.state_dict())
        network.load_state_dict({name: value for name, value in supernet.state_dict().items() if name in own})
        like: Tensor = torch.zeros(1, dtype=torch.float64)
        torch.testing.assert_close(network(x), supernet(x, space.encode(genotype, like)))


def test_costs_are_sums_over_links() -> None:
    """``cost_key`` joins links of equal cost: edges from the input change the channels, other edges do not."""
    space = TransNasBench101Micro((3, 32, 32), 10)
    empty = space.macs(from_ops([NONE] * len(EDGES)))
    table: dict[Hashable, int] = {}
    for position, (source, target) in enumerate(EDGES):
        for op in OPS:
            ops = [op if edge == position else NONE for edge in range(len(EDGES))]
            macs = space.macs(from_ops(ops)) - empty
            assert table.setdefault(space.cost_key("cell", Link(op, source, target)), macs) == macs
    for genotype in (space.sample(random.Random(seed)) for seed in range(5)):
        links = genotype.cells["cell"].links
        assert space.macs(genotype) == empty + sum(table[space.cost_key("cell", link)] for link in links)
