"""The laptop track: one budget, one data set and one space for all methods."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf

from nas.cli.build import build_data, build_search, build_space
from tests.support.compose_tools import CONF, choices, composed
from tests.support.conf_headers import header

NAMES = [name for name in choices("experiment") if name.startswith("laptop/")]
COMMON = {
    "cpu_minutes": 10,
    "threads": 1,
    "space.name": "nas_bench_201",
    "space.channels": 4,
    "space.cells_per_stage": 1,
    "dataset._target_": "nas.data.cifar.Cifar10",
    "dataset.batch_size": 128,
    "dataset.split": "nas_bench_201",
    "trainer.precision": "32-true",
}


@pytest.mark.parametrize("name", NAMES)
def test_laptop_search_has_the_common_settings(name: str) -> None:
    text = " ".join(header((CONF / "experiment" / f"{name}.yaml").read_text()))
    assert f"python search.py experiment={name} paths.data=~/data" in text
    with composed("search", f"experiment={name}", "paths.data=DATA", "paths.output=OUT") as cfg:
        assert {key: OmegaConf.select(cfg, key) for key in COMMON} == COMMON
        search = build_search(cfg.method, build_space(cfg.space, build_data(cfg)))
        assert search.name == cfg.method.name


def test_sweep_file_has_all_laptop_searches() -> None:
    with composed("search", "hparams_search=laptop") as cfg:
        del cfg
    file: Any = OmegaConf.load(CONF / "hparams_search" / "laptop.yaml")
    params = file.hydra.sweeper.params
    assert sorted(params.experiment.split(",")) == NAMES and params.seed == "0,1,2"
    assert len(NAMES) >= 10
