"""Tests of spaces whose architectures are chains of blocks, and of their supernets."""

from __future__ import annotations

import random
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas.architecture.cell import Genotype
from nas.deploy.child_weights import PREFIX, child_weights
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.edges.skips import AuxiliarySkip
from nas.nn.macs import count_macs
from nas.spaces.notation import native_string, parse_genotype
from nas.spaces.single_path.chain import ChainSpace, chain_from_ops, chain_ops
from nas.spaces.single_path.chain_body import CHAIN, MixedChain
from nas.spaces.single_path.mobilenet_v2 import OPS, MobileNetV2Space
from nas.spaces.single_path.shufflenet_v2 import ShuffleNetV2Space
from nas.utils.errors import NasError

SHAPE = (3, 32, 48)
SPACES: list[ChainSpace] = [MobileNetV2Space(SHAPE, 10), ShuffleNetV2Space(SHAPE, 10)]
SIZES = {"widths": (8, 12), "depths": (2, 2), "strides": (2, 1), "stem_width": 4, "stem_stride": 1, "head": 6}
SMALL: list[ChainSpace] = [
    MobileNetV2Space((3, 9, 12), 5, first_width=8, norm_eps=1e-2, **SIZES),  # type: ignore[arg-type]
    ShuffleNetV2Space((3, 9, 12), 5, affine=True, norm_eps=1e-2, dropout=0.0, **SIZES),  # type: ignore[arg-type]
]
"""The first layer of the mobile space keeps neither stride nor width; the second keeps both."""


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_chain_spaces_parse_build_and_count(space: ChainSpace) -> None:
    rng = random.Random(0)
    for _ in range(2):
        genotype = space.sample(rng)
        assert space.parse(space.native(genotype)) == genotype == parse_genotype(native_string(genotype))
        network = space.network(genotype, **space.supernet_size())
        out = network.train().outputs(torch.randn(2, *SHAPE))
        assert out.logits.shape == (2, 10) and out.auxiliary is None
        out.logits.sum().backward()
        assert all(p.grad is not None for p in network.parameters())
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.eval()(torch.zeros(1, *SHAPE))
        assert 2 * count_macs(network, SHAPE) == counter.get_total_flops() == 2 * space.macs(genotype)


@pytest.mark.parametrize("space", SMALL, ids=lambda space: space.name)
def test_supernet_at_one_hot_weights_equals_the_network(space: ChainSpace) -> None:
    """Outputs and gradients are equal in training mode, with the weights that ``child_weights`` selects."""
    torch.manual_seed(0)
    big, x = space.supernet().double().train(), torch.randn(3, *space.shape, dtype=torch.float64)
    state = {f"{PREFIX}{name}": value for name, value in big.state_dict().items()}
    rng = random.Random(1)
    for _ in range(4):
        genotype = space.sample(rng)
        small = space.network(genotype, **space.supernet_size())
        weights = child_weights(state, genotype)
        assert weights is not None
        small.double().train().load_state_dict(weights)
        arch = space.encode(genotype, like=x)
        torch.testing.assert_close(small(x), big(x, arch), rtol=1e-9, atol=1e-9)
        for network, args in ((small, (x,)), (big, (x, arch))):
            network.zero_grad()
            network(*args).square().sum().backward()
        used = {name for name, p in big.named_parameters() if p.grad is not None}
        assert len(used) == len(list(small.parameters()))
        found = sorted(float(p.grad.norm()) for p in small.parameters() if p.grad is not None)
        expected = sorted(float(p.grad.norm()) for p in big.parameters() if p.grad is not None)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("space", SMALL, ids=lambda space: space.name)
def test_supernet_mixes_all_candidates(space: ChainSpace) -> None:
    torch.manual_seed(0)
    network, cell = space.supernet(), space.cells[CHAIN]
    arch = space.encode(space.sample(random.Random(0)))[CHAIN]
    arch = arch._replace(op=torch.rand_like(arch.op).requires_grad_(), active=cell.allowed().tolist())
    network(torch.randn(2, *space.shape), {CHAIN: arch}).square().sum().backward()
    assert arch.op.grad is not None
    moved = (arch.op.grad != 0) | ~cell.allowed()
    # the batch norm of the head cancels a common factor, not a mixture
    assert moved.all() and all(p.grad is not None for p in network.parameters())


def test_mobile_layers_that_change_the_shape_have_no_skip() -> None:
    cell = SPACES[0].cells[CHAIN]
    assert sum("skip_connect" in cell.choices(e) for e in range(19)) == 13
    with pytest.raises(NasError, match=r"layer 0 changes the shape and has no candidate"):
        MobileNetV2Space(SHAPE, 10, ops=["skip_connect"])


def test_auxiliary_skips_are_where_the_shape_is_kept() -> None:
    for space in SMALL:
        (chain,) = (m for m in space.supernet(AuxiliarySkip).modules() if isinstance(m, MixedChain))
        edges = chain.graph.edges.values()
        assert ["auxiliary" in dict(edge.named_children()) for edge in edges] == [
            layer.keeps_shape for layer in space.layers
        ]
        (chain,) = (
            m for m in space.supernet(partial(AuxiliarySkip, auxiliary="conv")).modules() if isinstance(m, MixedChain)
        )
        convs = [dict(edge.named_children()).get("auxiliary") for edge in chain.graph.edges.values()]
        assert [conv is not None for conv in convs] == [layer.keeps_shape for layer in space.layers]
        assert all(isinstance(conv, nn.Conv2d) for conv in convs if conv is not None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mobile:", "blocks joined by '-'"),
        ("mobile:" + "-".join(["k4e6"] * 19), "unknown block 'k4e6'"),
        ("mobile:" + "-".join(["foo"] * 19), "unknown block 'foo'"),
        ("shufflenet:" + "-".join(["4"] * 20), "unknown block '4'"),
        ("shufflenet:" + "-".join(["0x3"] * 20), "unknown block '0x3'"),
        ("shufflenet:0-", "unknown block ''"),
    ],
)
def test_parse_refuses_malformed_strings(text: str, message: str) -> None:
    with pytest.raises(NasError, match=message):
        parse_genotype(text)


def test_check_refuses_other_genotypes() -> None:
    with pytest.raises(NasError, match="op 'skip_connect' is not a choice on edge 2->3"):
        SPACES[0].check(parse_genotype("mobile:" + "-".join(["k3e6"] * 2 + ["skip"] + ["k3e6"] * 16)))
    with pytest.raises(NasError, match="space=shufflenet has 20 blocks, found 21. Set the depths"):
        SPACES[1].check(chain_from_ops("shufflenet", ["shuffle_3x3"] * 21))
    short = chain_from_ops("shufflenet", ["shuffle_3x3"] * 19).cells["chain"]._replace(output=(20,))
    with pytest.raises(NasError, match="20 blocks, found 19"):
        SPACES[1].check(Genotype("shufflenet", {"chain": short}))
    with pytest.raises(NasError, match="does not fit space=mobile"):
        SPACES[0].network(parse_genotype("shufflenet:" + "-".join("0" * 20)))
    with pytest.raises(NasError, match=r"method.edge=PartialChannels: blocks of space=shufflenet change the number"):
        SPACES[1].supernet(partial(PartialChannels, channel_divisor=2))


def test_network_takes_another_layout() -> None:
    genotype = parse_genotype("mobile:k3e6-k5e3-skip")
    space = MobileNetV2Space((1, 8, 8), 3)
    with pytest.raises(NasError, match="19 blocks, found 3"):
        space.network(genotype)
    layout = {"widths": [8, 12], "depths": [1, 2], "strides": [1, 2], "stem_width": 4, "first_width": 8}
    network = space.network(genotype, **layout, stem_stride=1, head=16, squeeze=0)  # type: ignore[arg-type]
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 3)
    assert len(network.get_submodule("blocks")) == 3, "without the skip"  # type: ignore[arg-type]
    with pytest.raises(NasError, match=r"widths=\[8\], depths=\[1, 2\].*one value per stage"):
        space.network(genotype, **(layout | {"widths": [8]}))  # type: ignore[arg-type]
    assert chain_ops(genotype)[2] == OPS[-1]
