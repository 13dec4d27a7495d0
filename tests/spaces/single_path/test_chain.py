"""Tests of spaces whose architectures are chains of blocks."""

from __future__ import annotations

import random

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nas.architecture.cell import Genotype
from nas.nn.macs import count_macs
from nas.spaces.notation import native_string, parse_genotype
from nas.spaces.single_path.chain import ChainSpace, chain_from_ops
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.spaces.single_path.shufflenet_v2 import ShuffleNetV2Space
from nas.utils.errors import NasError

SHAPE = (3, 32, 48)
SPACES: list[ChainSpace] = [MobileNetV2Space(SHAPE, 10), ShuffleNetV2Space(SHAPE, 10)]


def sample_member(space: ChainSpace, rng: random.Random) -> Genotype:
    """Sample until the genotype is valid; a MobileNetV2 block that changes the shape cannot be a skip."""
    while True:
        genotype = space.sample(rng)
        try:
            space.check(genotype)
        except NasError:
            continue
        return genotype


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_chain_spaces_parse_build_and_count(space: ChainSpace) -> None:
    rng = random.Random(0)
    for _ in range(4):
        genotype = sample_member(space, rng)
        assert space.parse(space.native(genotype)) == genotype == parse_genotype(native_string(genotype))
        network = space.network(genotype)
        out = network.train().outputs(torch.randn(2, *SHAPE))
        assert out.logits.shape == (2, 10) and out.auxiliary is None
        out.logits.sum().backward()
        assert all(p.grad is not None for p in network.parameters())
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.eval()(torch.zeros(1, *SHAPE))
        assert 2 * count_macs(network, SHAPE) == counter.get_total_flops()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mobile:k3e6", "21 blocks joined by '-', found 1"),
        ("mobile:" + "-".join(["k4e6"] * 21), "unknown block 'k4e6'"),
        ("mobile:" + "-".join(["foo"] * 21), "unknown block 'foo'"),
        ("shufflenet:" + "-".join(["4"] * 20), "unknown block '4'"),
        ("shufflenet:" + "-".join(["0x3"] * 20), "unknown block '0x3'"),
        ("shufflenet:0-", "20 blocks"),
    ],
)
def test_parse_refuses_malformed_strings(text: str, message: str) -> None:
    with pytest.raises(NasError, match=message):
        parse_genotype(text)


def test_check_refuses_other_genotypes() -> None:
    with pytest.raises(NasError, match="block 4 of space=mobile changes the shape"):
        SPACES[0].check(parse_genotype("mobile:" + "-".join(["k3e6"] * 4 + ["skip"] + ["k3e6"] * 16)))
    with pytest.raises(NasError, match=r"output of the chain cell is \(21,\)"):
        SPACES[1].check(chain_from_ops("shufflenet", ["shuffle_3x3"] * 21))
    short = chain_from_ops("shufflenet", ["shuffle_3x3"] * 19).cells["chain"]._replace(output=(20,))
    with pytest.raises(NasError, match="20 blocks, found 19"):
        SPACES[1].check(Genotype("shufflenet", {"chain": short}))
    with pytest.raises(NasError, match="does not fit space=mobile"):
        SPACES[0].network(parse_genotype("shufflenet:" + "-".join("0" * 20)))
    with pytest.raises(NasError, match="space=shufflenet: this space has no supernet"):
        SPACES[1].supernet()
