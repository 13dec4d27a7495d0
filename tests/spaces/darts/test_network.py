"""Tests of DARTS networks."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.macs import count_parameters
from nas.spaces.base import Shape
from nas.spaces.darts.space import Darts
from nas.utils.errors import NasError
from tests.support.space_tools import same_op_everywhere


@pytest.mark.parametrize(
    ("shape", "stem", "built"),
    [
        ((3, 32, 32), "cifar", True),
        ((3, 32, 64), "cifar", True),
        ((3, 35, 33), "cifar", True),
        ((1, 8, 8), "cifar", True),
        ((1, 5, 28), "cifar", True),
        ((1, 4, 28), "cifar", False),
        ((3, 224, 224), "imagenet", True),
        ((3, 224, 288), "imagenet", True),
        ((3, 64, 64), "imagenet", True),
        ((3, 33, 64), "imagenet", True),
        ((3, 32, 64), "imagenet", False),
    ],
)
def test_auxiliary_head_is_built_if_the_features_are_large_enough(shape: Shape, stem: Any, built: bool) -> None:
    space = Darts(shape, 5)
    genotype = same_op_everywhere(space, "max_pool_3x3")
    size: dict[str, Any] = {"channels": 4, "layers": 3, "stem": stem}
    network = space.network(genotype, **size)
    images = torch.randn(2, *shape)
    auxiliary = network.outputs(images).auxiliary
    assert (auxiliary is not None) == built and (auxiliary is None or auxiliary.shape == (2, 5))
    assert network.eval().outputs(images).auxiliary is None
    assert space.network(genotype, auxiliary=False, **size).outputs(images).auxiliary is None
    if built:
        head = space.network(genotype, auxiliary=True, **size).auxiliary_head
        norms = [m.num_features for m in head.modules() if isinstance(m, nn.BatchNorm2d)]
        assert norms == ([128, 768] if stem == "cifar" else [128])
    else:
        sides = "1x7" if stem == "cifar" else "1x2"  # reductions round up
        with pytest.raises(NasError, match=f"leave features of {sides} after .* Use network.auxiliary=false"):
            space.network(genotype, auxiliary=True, **size)


@pytest.mark.parametrize("side", [*range(29, 46, 2), 32, 36, 40, 44])
def test_auxiliary_head_pools_windows_of_5x5_that_leave_2x2(side: int) -> None:
    space = Darts((3, side, side), 5)
    genotype = same_op_everywhere(space, "max_pool_3x3")
    network = space.network(genotype, channels=4, layers=4, auxiliary=True)
    assert network.outputs(torch.randn(2, 3, side, side)).auxiliary is not None
    pool = network.get_submodule("auxiliary_head.features.1")
    assert isinstance(pool, nn.AvgPool2d) == (29 <= side <= 40)


def test_imagenet_supernet_has_the_published_size() -> None:
    """PC-DARTS with 1,000 classes, channel_divisor 2 and a stem of width 48 has 956,512 parameters."""
    space = Darts((3, 224, 224), 1000, stem="imagenet", stem_multiplier=3)
    assert count_parameters(space.supernet(partial(PartialChannels, channel_divisor=2))) == 956_512
    assert space.supernet().stem1[1].out_channels == 48
    assert Darts((3, 224, 224), 1000, stem="imagenet").supernet().stem1[1].out_channels == 16


@pytest.mark.parametrize(("layers", "reductions"), [(1, [0]), (2, [0, 1])])
@pytest.mark.parametrize("auxiliary", [None, False])
def test_networks_of_one_and_two_cells_consist_of_reductions(
    layers: int, reductions: list[int], auxiliary: bool | None
) -> None:
    space = Darts((3, 16, 16), 5)
    genotype = same_op_everywhere(space, "sep_conv_3x3")
    network = space.network(genotype, channels=4, layers=layers, auxiliary=auxiliary)
    assert network.cell_types() == dict.fromkeys(reductions, "reduce")
    out = network.train().outputs(torch.randn(2, 3, 16, 16))
    assert out.logits.shape == (2, 5)
    assert (out.auxiliary is None) == (auxiliary is False)
    with pytest.raises(NasError, match="space.layers=2: .* Use space.layers=3 or more"):
        Darts((3, 16, 16), 5, layers=2).supernet()
