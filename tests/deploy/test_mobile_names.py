"""Names of published weights of FairNAS and ProxylessNAS."""

from __future__ import annotations

import pytest
import torch

from nas.deploy.infer_options import infer_options
from nas.deploy.mobile_names import mobile_names
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stem.0.weight", "conv_stem.weight"),
        ("separable_conv.4.bias", "blocks.0.bn2.bias"),
        ("mb_module.0.conv1.weight", "blocks.1.conv_pw.weight"),
        ("mb_module.18.bn3.running_var", "blocks.2.bn3.running_var"),
        ("conv_before_pooling.1.weight", "bn2.weight"),
        ("first_conv.bn.weight", "bn1.weight"),
        ("blocks.0.mobile_inverted_conv.depth_conv.conv.weight", "blocks.0.conv_dw.weight"),
        ("feature_mix_layer.conv.weight", "conv_head.weight"),
        ("classifier.linear.bias", "classifier.bias"),
        ("blocks.3.conv_pw.weight", "blocks.3.conv_pw.weight"),
    ],
)
def test_names_of_modules(theirs: str, ours: str) -> None:
    """FairNAS numbers its searched blocks from 0; here, the blocks 0 and 18 are the only ones."""
    given = dict.fromkeys(("mb_module.0.conv1.weight", "mb_module.18.bn3.running_var", theirs))
    assert mobile_names(given)[theirs] == ours


def test_skipped_blocks_of_proxylessnas_have_no_number() -> None:
    names = [f"blocks.{n}.mobile_inverted_conv.inverted_bottleneck.conv.weight" for n in (1, 2, 5)]
    assert [mobile_names(names)[name] for name in names] == [f"blocks.{n}.conv_pw.weight" for n in (1, 2, 3)]


@pytest.mark.parametrize("squeeze", [0.0, 0.25, 0.5, 1.0])
def test_ratio_of_squeeze_and_excitation_is_inferred(squeeze: float) -> None:
    space = MobileNetV2Space((3, 8, 8), 10)
    with torch.device("meta"):
        network = space.network(space.parse("mobile:" + "-".join(["k3e3"] * 19)), squeeze=squeeze)
    assert infer_options(network.state_dict(), "mobile") == {"squeeze": squeeze}
