"""Golden tests of the blocks of single-path spaces: outputs, gradients and statistics of batch norm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.spaces.single_path.mobilenet_v2_network import (
    BlockSpec,
    DepthwiseSeparable,
    InvertedResidual,
    MobileNetV2Network,
    Style,
)
from nas.spaces.single_path.shufflenet_v2_network import ConvNorm, ShuffleUnit, UnitSpec
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden, golden_names

pytestmark = pytest.mark.data

KERNELS = (3, 5, 7, 0)
FIRST = {"0": "conv_dw", "1": "bn1", "3": "conv_pw", "4": "bn2"}
INVERTED = {"conv1": "conv_pw", "conv2": "conv_dw", "conv3": "conv_pwl"}
STYLES = {"fairnas": Style(), "timm": Style(activation="swish")}


def shuffle_unit(given: Mapping[str, Any], state: Mapping[str, Tensor], eps: float) -> nn.Module:
    affine = any(name.endswith("branch_main.1.weight") for name in state)
    inputs = 2 * given["inp"] if given["stride"] == 1 else given["inp"]
    spec = UnitSpec(KERNELS[given["op"]], given["mid"], given["stride"], given["oup"])
    return ShuffleUnit(inputs, spec, ConvNorm(eps, affine))


def mobile_block(given: Mapping[str, Any], family: str) -> tuple[nn.Module, Mapping[str, str]]:
    """Return a block, and our names of its layers where they differ from theirs."""
    style = STYLES[family]._replace(squeeze=given.get("se", 0.0))
    if given["op"] == "stem":
        space = MobileNetV2Space((given["inp"], 8, 8), 2, stem_width=given["oup"], stem_stride=given["stride"])
        network = space.supernet()
        assert isinstance(network, MobileNetV2Network)
        return nn.Sequential(network.conv_stem, network.bn1, network.act1), {}
    if given["op"] in ("first", "ds"):
        return DepthwiseSeparable(given["inp"], given["oup"], style), FIRST if given["op"] == "first" else {}
    spec = BlockSpec(given["k"], given["e"], given["stride"], given["oup"])
    return InvertedResidual(given["inp"], spec, style), INVERTED if family == "fairnas" else {}


def ours(name: str, layers: Mapping[str, str]) -> str:
    layer, _, rest = name.partition(".")
    return f"{layers.get(layer, layer)}.{rest}"


@pytest.mark.parametrize("name", golden_names("mobile_block"))
def test_blocks_match_the_authors(golden: Callable[[str], Golden], name: str) -> None:
    stored = golden(name)
    compare, given = Comparison(stored), stored.entry["constructor"]
    shuffles = given["family"] in ("spos", "dsnas")
    for number, options in enumerate(given["blocks"]):
        state, layers = stored.state(f"b{number}/state/"), {}
        if shuffles:
            eps = given.get("eps", 1e-2 if given["family"] == "dsnas" else 1e-5)
            block = shuffle_unit(options, state, options.get("eps", eps))
        else:
            block, layers = mobile_block(options, given["family"])
        translated = {ours(key, layers): value for key, value in state.items()}
        missing, unexpected = block.load_state_dict(translated, strict=False)
        assert not unexpected and all(key.endswith("num_batches_tracked") for key in missing)
        x = stored.tensor(f"b{number}/x").requires_grad_()
        with torch.no_grad():
            compare.equal(f"b{number}/eval_out", block.eval()(x))
        out = block.train()(x)
        compare.equal(f"b{number}/train_out", out)
        (out * stored.tensor(f"b{number}/g")).sum().backward()
        compare.equal(f"b{number}/grad_x", x.grad)
        parameters, buffers = dict(block.named_parameters()), dict(block.named_buffers())
        for key in [key for key in compare.left if key.startswith(f"b{number}/grad/")]:
            compare.equal(key, parameters[ours(key.removeprefix(f"b{number}/grad/"), layers)].grad)
        for key in [key for key in compare.left if key.startswith(f"b{number}/after/")]:
            compare.equal(key, buffers[ours(key.removeprefix(f"b{number}/after/"), layers)])
    if "shuffle/first" in compare.left:
        first, second = split(stored.tensor("shuffle/x"))
        compare.equal("shuffle/first", first)
        compare.equal("shuffle/second", second)
    compare.finish()


def split(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the channels that bypass a unit of stride 1, and those that enter its main branch."""
    width = x.shape[1]
    unit = ShuffleUnit(width, UnitSpec(3, width // 2, 1, width), ConvNorm())
    entered: list[Tensor] = []
    unit.branch_main.register_forward_pre_hook(lambda module, inputs: entered.append(inputs[0]))
    return unit(x)[:, : width // 2], entered[0]
