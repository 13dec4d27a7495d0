"""Spaces that are chains of blocks: their notation, their rules, and what their blocks compute."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import nas
from nas.architecture.cell import Genotype
from nas.deploy.published_weights import load_published_weights
from nas.nn.macs import count_macs, count_parameters
from nas.spaces.genotype_file import load_genotype
from nas.spaces.notation import native_string, parse_genotype
from nas.spaces.single_path.chain import ChainSpace, chain_from_ops, chain_ops
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.spaces.single_path.shufflenet_v2 import UNITS, ShuffleNetV2Space, unit_specs
from nas.spaces.single_path.shufflenet_v2_network import ShuffleUnit, UnitSpec
from nas.utils.errors import NasError

SHAPE = (3, 32, 48)
SPACES: list[ChainSpace] = [MobileNetV2Space(SHAPE, 10), ShuffleNetV2Space(SHAPE, 10)]


def drawn(space: ChainSpace, rng: random.Random) -> Genotype:
    """A genotype drawn until it is one: in the mobile space a block that changes the shape cannot be a skip."""
    while True:
        found = space.sample(rng)
        try:
            space.check(found)
        except NasError:
            continue
        return found


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_notation_and_networks(space: ChainSpace) -> None:
    rng = random.Random(0)
    for _ in range(4):
        genotype = drawn(space, rng)
        assert space.parse(space.native(genotype)) == genotype == parse_genotype(native_string(genotype))
        network = space.network(genotype)
        out = network.train().outputs(torch.randn(2, *SHAPE))
        assert out.logits.shape == (2, 10) and out.auxiliary is None
        out.logits.sum().backward()
        assert all(p.grad is not None for p in network.parameters())
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.eval()(torch.zeros(1, *SHAPE))
        assert 2 * count_macs(network, SHAPE) == counter.get_total_flops()


def test_skips_are_left_out() -> None:
    words = ["k3e6"] * 21
    full = SPACES[0].network(parse_genotype(f"mobile:{'-'.join(words)}"))
    words[1] = words[3] = "skip"
    less = SPACES[0].network(parse_genotype(f"mobile:{'-'.join(words)}"))
    assert len(full.get_submodule("blocks")) == 22 and len(less.get_submodule("blocks")) == 20  # type: ignore[arg-type]


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
def test_malformed_strings(text: str, message: str) -> None:
    with pytest.raises(NasError, match=message):
        parse_genotype(text)


def test_what_is_no_member() -> None:
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


def test_widths_of_units() -> None:
    genotype = parse_genotype("shufflenet:" + "-".join(["1x1.4", "0x1.0", *"3" * 18]))
    assert chain_ops(genotype)[:3] == ["shuffle_5x5_1.4", "shuffle_3x3", "xception_3x3"]
    assert unit_specs(genotype)[:3] == [UnitSpec(5, 44, 2, 64), UnitSpec(3, 32, 1, 64), UnitSpec(0, 32, 1, 64)]


@pytest.mark.parametrize("kernel", [0, 3, 7])
def test_half_of_the_channels_pass_a_unit_untouched(kernel: int) -> None:
    x = torch.randn(2, 8, 5, 6)
    unit = ShuffleUnit(8, UnitSpec(kernel, 6, 1, 8), 1e-5).eval()
    out = unit(x)
    assert out.shape == x.shape and torch.equal(out[:, :4], x[:, ::2])
    changed = x.clone()
    changed[:, ::2] += 1
    assert torch.equal(unit(changed)[:, 4:], out[:, 4:]), "the branch sees the odd channels alone"
    assert ShuffleUnit(8, UnitSpec(kernel, 6, 2, 20), 1e-5)(x).shape == (2, 20, 3, 3)


def test_weights_under_the_names_of_dsnas_and_single_path() -> None:
    """DSNAS numbers a unit's choice too, and keeps its architecture parameters with the weights."""
    space = SPACES[1]
    genotype = parse_genotype("shufflenet:0-0-3-0-3-2-0-0-3-3-2-3-3-3-2-0-0-3-3-0")
    torch.manual_seed(0)
    source, target = space.network(genotype), space.network(genotype)
    numbers = [list(UNITS).index(op) for op in chain_ops(genotype)]
    state = {"log_alpha": torch.zeros(20, 4)}
    for name, value in source.state_dict().items():
        parts = name.split(".")
        if parts[0] == "features":
            parts.insert(2, str(numbers[int(parts[1])]))
        state["module." + ".".join(parts).replace("classifier.", "classifier.0.")] = value
    load_published_weights(target, state)
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())
    assert count_parameters(target) == count_parameters(source)


def test_the_classes_of_such_weights_are_read_off(tmp_path: Path) -> None:
    network = ShuffleNetV2Space((3, 32, 32), 7).network(load_genotype("DSNAS"))
    state = {name.replace("classifier.", "classifier.0."): value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "weights.pt")
    assert nas.load(tmp_path / "weights.pt", genotype="DSNAS").classes == 7
