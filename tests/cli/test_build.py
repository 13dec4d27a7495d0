"""Parts that are built from a configuration: options of networks, moving average, precision."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import EMAWeightAveraging

from nas.cli.build import build_averaging, network_options, precision
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError


def test_network_options_replace_published_ones_unless_null() -> None:
    space, published = NasBench201((3, 8, 8), 10), {"channels": 16, "cells_per_stage": 5}
    given = OmegaConf.create({"channels": None, "cells_per_stage": 2})
    assert network_options(space, given, published) == {"channels": 16, "cells_per_stage": 2}


def test_build_averaging_takes_a_decay_between_0_and_1() -> None:
    assert build_averaging(None) == []
    (callback,) = build_averaging(0.9)
    assert isinstance(callback, EMAWeightAveraging)
    wrong: Any
    for wrong in (0, 1, 1.5, True, "0.9"):
        with pytest.raises(NasError, match="give a decay between 0 and 1"):
            build_averaging(wrong)


@pytest.mark.parametrize(
    ("given", "full"),
    [(32, "32-true"), ("bf16", "bf16-mixed"), ("64-true", "64-true"), (None, "32-true"), (16, "16-mixed")],
)
def test_precision_has_the_full_name_of_lightning(given: Any, full: str) -> None:
    assert precision(OmegaConf.create({"trainer": {"precision": given}})) == full
