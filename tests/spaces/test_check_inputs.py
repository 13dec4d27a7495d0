from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_101.space import NasBench101
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.recurrent.space import Recurrent
from nas.spaces.single_path.shufflenet_v2 import ShuffleNetV2Space
from nas.utils.errors import NasError

SPACES = (NasBench201, NasBench101, Darts, ShuffleNetV2Space)


def test_shape_may_be_any_sequence_of_whole_numbers() -> None:
    for shape in ((3, 8, 8), [3, 8, 8], torch.Size([3, 8, 8]), tuple(np.array([3, 8, 8]))):
        assert NasBench201(shape, 10).shape == (3, 8, 8)
    assert Recurrent((), 50).shape == ()


@pytest.mark.parametrize("build", SPACES)
@pytest.mark.parametrize(
    "shape", [(3, 8), (3, 8, 8, 8), (3, 0, 8), (3, -8, 8), (3, 8.0, 8), ("3", 8, 8), 8, "abc", None]
)
def test_wrong_shape_is_refused(build: Any, shape: Any) -> None:
    with pytest.raises(NasError, match=r"^shape=.*: use \(channels, height, width\)"):
        build(shape, 10)


@pytest.mark.parametrize("classes", [0, -1, 2.5, "10", True, None, [10]])
def test_wrong_number_of_classes_is_refused(classes: Any) -> None:
    with pytest.raises(NasError, match="^classes=.*: use a whole number from 1"):
        NasBench201((3, 8, 8), classes)


@pytest.mark.parametrize("build", SPACES)
@pytest.mark.parametrize("genotype", [None, 5, "|none~0|", {}])
def test_network_needs_a_genotype(build: Any, genotype: Any) -> None:
    space: Space = build((3, 32, 32), 10)
    with pytest.raises(NasError, match="not a Genotype. Use load_genotype"):
        space.network(genotype)
