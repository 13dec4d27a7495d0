"""Obstacles to common steps of several searches."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.cli.jobs.joint_search import find_obstacle
from tests.support.compose_tools import DATA, composed

DARTS = ["space=darts", "space.channels=4", "space.layers=3"]

OBSTACLES = {
    "method=gdas": "method=gdas samples ops",
    "method=darts_2nd": "does not use the first-order architecture gradient",
    "method=sdarts_rs": "has the callback Anneal|perturbs architectures",
    "method=drnas_progressive": "has the callback DrnasProgressive",
    "method=noisy_darts": "has the callback Anneal|layers of NasBench201Network",
    "compile=true": "common steps do not support compile=true",
    "cpu_minutes=5": "common steps do not support cpu_minutes",
    "space.fused=true": "cannot be executed for several networks|layers of",
    "callbacks=curvature": "common steps do not support callbacks.curvature",
    "logger=wandb": "common steps do not support logger.wandb",
    "method=random_search evaluator=zero_cost proxy=synflow": "takes no gradient steps",
}


@pytest.mark.parametrize("given", OBSTACLES)
def test_find_obstacle_names_what_prevents_common_steps(given: str, tmp_path: Path) -> None:
    method = [] if given.startswith("method") else ["method=darts"]
    size = ["space.channels=4", "space.cells_per_stage=1", f"paths.output={tmp_path}"]
    with composed("search", *method, *given.split(), *DATA, *size) as cfg:
        found = find_obstacle(cfg)
    assert found is not None and any(part in found for part in OBSTACLES[given].split("|")), found


@pytest.mark.parametrize(
    ("method", "more"), [("darts", []), ("drnas", []), ("pc_darts", DARTS), ("fair_darts", DARTS), ("darts", DARTS)]
)
def test_find_obstacle_finds_none_for_dense_methods(method: str, more: list[str]) -> None:
    size = more or ["space.channels=4", "space.cells_per_stage=1"]
    with composed("search", f"method={method}", *size, *DATA) as cfg:
        assert find_obstacle(cfg) is None
