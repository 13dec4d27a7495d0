"""Parts that are built from a configuration: options of networks, moving average, precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import EMAWeightAveraging

from nas.cli.build import build_averaging, network_options, precision, set_tf32
from nas.cli.checks.values import check_config
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.compose_tools import composed


def test_network_options_replace_published_ones_unless_null() -> None:
    space, published = NasBench201((3, 8, 8), 10), {"channels": 16, "cells_per_stage": 5}
    given = {"network": {"channels": None, "cells_per_stage": 2}, "searched_network": {}}
    assert network_options(space, OmegaConf.create(given), published) == {"channels": 16, "cells_per_stage": 2}
    given["searched_network"] = {"channels": 8, "cells_per_stage": 4}
    assert network_options(space, OmegaConf.create(given), published) == {"channels": 8, "cells_per_stage": 2}


def test_network_of_another_space_is_refused() -> None:
    """Its options are null, so that the choice would have no effect."""
    space = NasBench201((3, 8, 8), 10)
    for name, refused in {"recurrent": True, "darts": True, "nas_bench_201": False, "auto": False}.items():
        with composed("train", "genotype=x", f"network={name}") as cfg:
            if refused:
                with pytest.raises(NasError, match=f"^network={name}: the networks of space=nas_bench_201 do not have"):
                    network_options(space, cfg, {})
            else:
                assert network_options(space, cfg, {}) == {}


def test_build_averaging_takes_a_decay() -> None:
    assert build_averaging(None) == []
    (callback,) = build_averaging(0.9)
    assert isinstance(callback, EMAWeightAveraging)


@pytest.mark.parametrize("decay", ["0", "1", "1.5", "-0.1", "true", "'0.9'", "nan", "[]"])
def test_check_config_refuses_a_decay_outside_of_0_and_1(decay: str) -> None:
    with composed("train", "genotype=x", f"ema={decay}") as cfg, pytest.raises(NasError, match="^ema=.*: use a number"):
        check_config(cfg)


def test_tf32_is_set_again_for_each_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = torch.get_float32_matmul_precision()
    try:
        states = []
        for enabled in (True, None, False, None):
            set_tf32(enabled)
            states.append((torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32))
        assert states == [("high", True), ("highest", True), ("highest", False), ("highest", True)]
    finally:
        torch.set_float32_matmul_precision(before)


def test_check_config_refuses_a_tf32_that_is_no_switch() -> None:
    with composed("search", "tf32=high") as cfg, pytest.raises(NasError, match="^tf32=high: use true, false or null"):
        check_config(cfg)


@pytest.mark.parametrize(
    ("given", "full"),
    [(32, "32-true"), ("bf16", "bf16-mixed"), ("64-true", "64-true"), (None, "32-true"), (16, "16-mixed")],
)
def test_precision_has_the_full_name_of_lightning(given: Any, full: str) -> None:
    assert precision(OmegaConf.create({"trainer": {"precision": given}})) == full
