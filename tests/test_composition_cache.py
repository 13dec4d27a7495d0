"""Tests of the cache of compositions, which all tests in this process use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from tests.support.compose_tools import composed
from tests.support.composition_cache import cached_compositions

OVERRIDES = [
    [],
    ["method=darts", "space=nats_size", "epochs=3", "+method.extra={a:[1]}", "~callbacks.cell_plots"],
    ["experiment=gdas/darts", "dataset=digits", "method.relaxation.tau=2"],
    ["method=bananas", "evaluator=zero_cost", "~callbacks", "hydra/launcher=joblib"],
]


def plain(name: str, *overrides: str) -> dict[Any, Any]:
    """Return an unresolved configuration, and the choices of its groups instead of the options of Hydra."""
    with composed(name, *overrides) as cfg:
        choices = HydraConfig.get().runtime.choices
        return {"choices": dict(choices)} | dict(OmegaConf.to_container(cfg))


@pytest.mark.parametrize("overrides", OVERRIDES, ids=" ".join)
def test_copy_from_the_cache_equals_a_composition(overrides: list[str], tmp_path: Path) -> None:
    """A search path of the user is read each time, and an empty one changes nothing."""
    uncached = plain("search", *overrides, f"hydra.searchpath=[file://{tmp_path}]")
    with cached_compositions():
        assert plain("search", *overrides) == plain("search", *overrides) == uncached


def test_values_and_changes_do_not_reach_the_cache() -> None:
    before = plain("search", "method=gdas")
    assert plain("search", "method=gdas", "epochs=7", "method.relaxation.hard=false")["epochs"] == 7
    with composed("search", "method=gdas") as cfg:
        cfg.method.relaxation.tau = "changed"
    assert plain("search", "method=gdas") == before != plain("search", "method=darts")


def test_files_of_a_user_and_registered_choices_are_read_again(tmp_path: Path) -> None:
    path = f"hydra.searchpath=[file://{tmp_path}]"
    for epochs in (3, 4):
        (tmp_path / "mode").mkdir(exist_ok=True)
        (tmp_path / "mode" / "own.yaml").write_text(f"# @package _global_\nmode: search\nepochs: {epochs}\n")
        assert plain("search", "mode=own", path)["epochs"] == epochs
    for option in (3, 4):
        ConfigStore.instance().store("registered", {"_target_": "x", "option": option}, group="dataset")
        assert plain("search", "dataset=registered")["dataset"]["option"] == option
    del ConfigStore.instance().repo["dataset"]["registered.yaml"]
