"""Methods and experiments: every composed value equals the published one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf, open_dict

from tests.support.compose_tools import choices, composed, published
from tests.support.published_tools import expand, flatten, values_of

TABLE: dict[str, dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "published.yaml").read_text())
NAMES = [*choices("method"), *published()]
PLACES = ("paths.data=DATA", "paths.output=OUT")


def arguments(name: str) -> list[str]:
    """Return the overrides that select an entry; methods are composed with CIFAR-10."""
    return [f"experiment={name}"] if "/" in name else [f"method={name}", "dataset=cifar10"]


def test_table_has_all_methods_and_experiments() -> None:
    shared = {name for name in TABLE if " " in name}
    assert set(TABLE) - shared == set(NAMES)
    assert shared == {name for entry in TABLE.values() for name in entry.get("like", []) if " " in name}


@pytest.mark.parametrize("name", NAMES)
def test_published_values_are_composed(name: str) -> None:
    with composed("search", *arguments(name), *PLACES) as cfg:
        found, expected = values_of(cfg), expand(TABLE, name)
    different = {key: (found.get(key, "absent"), expected.get(key, "absent")) for key in {*found, *expected}}
    different = {key: pair for key, pair in different.items() if pair[0] != pair[1]}
    assert not different, "composed and published"


def test_flatten_reads_every_value() -> None:
    """Each number of a composed method is part of the comparison."""
    with composed("search", *arguments("p_darts/cifar100"), *PLACES) as cfg:
        before = values_of(cfg)
        with open_dict(cfg):
            cfg.method.callbacks[1].decay = 0.3
            cfg.method.weight_step.scheduler.eta_min = 0.1
            cfg.dataset.mean[2] = 0.5
        after = values_of(cfg)
    changed = {"callbacks.1.decay", "weight_step.scheduler.eta_min", "learning_rates", "dataset.mean"}
    assert {key for key in before if before[key] != after[key]} == changed
    options = OmegaConf.create({"_target_": "a.B", "parts": [{"_target_": "c.D", "x": [1, 2]}], "seed": 3})
    assert flatten(OmegaConf.to_container(options)) == {"class": "B", "parts.0": "D", "parts.0.x": [1, 2]}


def test_expand_applies_entries_in_order() -> None:
    table: dict[str, dict[str, Any]] = {
        "a": {"x": 1, "y.z": 2, "y.w": 3},
        "b c": {"without": ["y"], "y": 4},
        "d": {"like": ["a", "b c"], "x": 5},
    }
    assert expand(table, "d") == {"x": 5, "y": 4}
