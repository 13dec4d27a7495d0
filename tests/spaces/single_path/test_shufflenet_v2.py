"""Tests of the ShuffleNetV2 space."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

import nas
from nas.deploy.child_weights import child_weights
from nas.deploy.published_weights import load_published_weights, translate_state_dict
from nas.nn.macs import count_macs, count_parameters
from nas.spaces.genotype_file import load_genotype
from nas.spaces.single_path.chain import chain_from_ops, chain_ops
from nas.spaces.single_path.layout import Layer
from nas.spaces.single_path.shufflenet_v2 import OPS, UNITS, ShuffleNetV2Space, parse, unit_spec
from nas.spaces.single_path.shufflenet_v2_network import ConvNorm, ShuffleUnit, UnitSpec
from nas.utils.errors import NasError


def test_unit_spec_scales_the_inner_width() -> None:
    genotype = parse("shufflenet:" + "-".join(["1x1.4", "0x1.0", *"3" * 18]))
    assert chain_ops(genotype)[:3] == ["shuffle_5x5_1.4", "shuffle_3x3", "xception_3x3"]
    layers = (Layer(16, 64, 2), Layer(64, 64, 1), Layer(64, 64, 1))
    found = [unit_spec(op, layer) for op, layer in zip(chain_ops(genotype), layers, strict=False)]
    assert found == [UnitSpec(5, 44, 2, 64), UnitSpec(3, 32, 1, 64), UnitSpec(0, 32, 1, 64)]
    assert unit_spec("shuffle_3x3_0.8", layers[1]).middle == 25, "truncated"


@pytest.mark.parametrize("kernel", [0, 3, 7])
def test_shuffle_unit_bypasses_the_even_channels(kernel: int) -> None:
    x = torch.randn(2, 8, 5, 6)
    unit = ShuffleUnit(8, UnitSpec(kernel, 6, 1, 8), ConvNorm()).eval()
    out = unit(x)
    assert out.shape == x.shape and torch.equal(out[:, :4], x[:, ::2])
    changed = x.clone()
    changed[:, ::2] += 1
    assert torch.equal(unit(changed)[:, 4:], out[:, 4:]), "the branch reads the odd channels only"
    assert ShuffleUnit(8, UnitSpec(kernel, 6, 2, 20), ConvNorm())(x).shape == (2, 20, 3, 3)
    assert ShuffleUnit(8, UnitSpec(kernel, 6, 1, 20), ConvNorm())(x).shape == (2, 20, 5, 6), "more channels"


def test_initialization_is_that_of_the_authors() -> None:
    torch.manual_seed(0)
    network = ShuffleNetV2Space((3, 8, 8), 100, affine=True, stem_width=48).supernet()
    weights = {
        "first_conv.0.weight": 0.01,
        "features.graph.edges.17_18.shuffle_3x3.branch_main.0.weight": 1 / 320,
        "features.graph.edges.17_18.shuffle_3x3.branch_main.3.weight": 1.0,
        "classifier.weight": 0.01,
    }
    for name, std in weights.items():
        assert float(network.get_parameter(name).detach().std()) == pytest.approx(std, rel=0.1), name
    assert (network.get_parameter("conv_last.1.bias") == 1e-4).all()


def test_layouts_that_leave_a_branch_without_channels_are_refused() -> None:
    with pytest.raises(NasError, match=r"^space.widths=\[64\]: .*widths that increase"):
        ShuffleNetV2Space((3, 8, 8), 10, widths=(64, 64, 320, 640))
    with pytest.raises(NasError, match=r"^space.widths=\[63\]: .* even widths"):
        ShuffleNetV2Space((3, 8, 8), 10, widths=(63, 160, 320, 640))
    with pytest.raises(NasError, match="space.ops: unknown name 'foo'|unknown space.ops 'foo'"):
        ShuffleNetV2Space((3, 8, 8), 10, ops=["foo"])
    assert len(ShuffleNetV2Space((3, 8, 8), 10, ops=OPS).cells["chain"].ops) == 40


def test_load_published_weights_of_dsnas() -> None:
    """The names of DSNAS contain the number of a unit, and the state contains architecture parameters."""
    space = ShuffleNetV2Space((3, 32, 48), 10)
    genotype = parse("shufflenet:0-0-3-0-3-2-0-0-3-3-2-3-3-3-2-0-0-3-3-0")
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


def test_load_infers_the_classes_of_published_weights(tmp_path: Path) -> None:
    network = ShuffleNetV2Space((3, 32, 32), 7).network(load_genotype("DSNAS"))
    state = {name.replace("classifier.", "classifier.0."): value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "weights.pt")
    assert nas.load(tmp_path / "weights.pt", genotype="DSNAS").classes == 7


def test_supernet_of_several_inner_widths_computes_its_networks() -> None:
    """Each path has the outputs, the cost and the published names of the network of its genotype."""
    ops = ("shuffle_3x3", "shuffle_3x3_1.4", "xception_3x3_0.6")
    layout: Any = {"widths": [8, 12], "depths": [2, 1], "strides": [2, 1], "stem_width": 4, "head": 8}
    space = ShuffleNetV2Space((3, 16, 16), 5, ops, affine=True, **layout)
    supernet, x = space.supernet().eval(), torch.randn(2, 3, 16, 16)
    for choice in itertools.product(ops, repeat=3):
        genotype = chain_from_ops(space.notation, choice)
        network = space.network(genotype).eval()
        state = {f"supernet.{key}": value for key, value in supernet.state_dict().items()}
        network.load_state_dict(child_weights(state, genotype) or {})
        assert torch.allclose(supernet(x, space.encode(genotype)), network(x), atol=1e-6)
        assert space.macs(genotype) == count_macs(network, space.shape)
    published = {"features.1.2.branch_main.0.weight": torch.zeros(())}
    assert list(translate_state_dict(published, supernet)) == [
        "features.graph.edges.1_2.xception_3x3_0_6.branch_main.0.weight"
    ]
