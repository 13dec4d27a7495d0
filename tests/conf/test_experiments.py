"""Experiments: each composes, differs from its defaults, and has a header with a source and a command."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from nas.cli.build import build_data, build_search, build_space
from nas.data.text.synthetic import SyntheticText
from nas.searches.base import Search
from tests.support.compose_tools import CONF, choices, composed, published
from tests.support.conf_headers import header_faults
from tests.support.error_tools import run

EXPERIMENTS = published()
FRAGMENTS = sorted((CONF / "experiment").rglob("_*.yaml"))
FAMILIES = {
    "darts_pt/blank": ("darts_s1", "darts_s2", "darts_s3", "darts_s4"),
    "r_darts/ada": ("darts_s1", "darts_s2", "darts_s3", "darts_s4"),
    "r_darts/dp": ("darts_s1", "darts_s2", "darts_s3", "darts_s4"),
    "r_darts/l2": ("darts", "darts_s1", "darts_s2", "darts_s3", "darts_s4"),
}
"""The experiments for several spaces; the first is the default."""
GROUPS = ("method", "space", "dataset", "evaluator", "proxy")
CARD = "# @package _global_\n# GDAS (Dong and Yang, CVPR 2019). Source: D-X-Y/AutoDL-Projects.\n"


def text_of(name: str) -> str:
    return (CONF / "experiment" / f"{name}.yaml").read_text()


@cache
def chosen(name: str, *overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the composed search of an experiment, unresolved, and its choices of groups."""
    with composed("search", f"experiment={name}", *overrides) as cfg:
        found: Any = OmegaConf.to_container(cfg, resolve=False)
        return found, {group: HydraConfig.get().runtime.choices.get(group) for group in GROUPS}


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (f"{CARD}# python search.py experiment=x trainer=gpu\nseed: 0\n", 0),
        (f"{CARD}# python search.py experiment=x\n", 0),
        (f"{CARD}# python search.py experiment=xy\n", 1),
        (f"{CARD}# Published: 93.61 test.\n# python search.py experiment=x\n", 1),
        ("# GDAS (Dong and Yang, CVPR 2019)\n# python search.py experiment=x\n", 1),
        ("# GDAS. Source: D-X-Y/AutoDL-Projects.\n# python search.py experiment=x\n", 1),
        ("seed: 0  # Liu et al., 2019\n", 3),
    ],
)
def test_header_faults_are_found(text: str, faults: int) -> None:
    assert len(header_faults(text, "experiment=x")) == faults


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_has_a_header(name: str) -> None:
    text = text_of(name)
    assert not header_faults(text, f"experiment={name}")
    assert text.startswith("# @package _global_"), "its keys would be below experiment."


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_composes(name: str, tmp_path: Path) -> None:
    keys = yaml.safe_load(text_of(name))
    with composed("search", f"experiment={name}", f"paths.output={tmp_path}", f"paths.data={tmp_path}") as cfg:
        assert {key: cfg[key] for key in ("seed", "epochs") if key in keys}.items() <= keys.items()
        if "channels" in cfg.space:  # the published size takes seconds to build
            partial = "PartialChannels" in cfg.method.get("edge", {}).get("_target_", "")
            cfg.space.channels = 12 if partial else 4
        data = build_data(cfg)
        if data.inputs == "text":  # whose words are known from its files
            cfg.space.hidden_size, data = 4, SyntheticText(words=12)
        search = build_search(cfg.method, build_space(cfg.space, data))
        assert isinstance(search, Search)
        search.space.check(search.genotype())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_differs_from_its_defaults(name: str) -> None:
    """Otherwise ``method=M space=S dataset=D`` says the same."""
    found, groups = chosen(name)
    with composed("search", *(f"{group}={choice}" for group, choice in groups.items() if choice)) as cfg:
        assert found != OmegaConf.to_container(cfg, resolve=False)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_is_in_the_folder_of_its_method(name: str) -> None:
    _, groups = chosen(name)
    assert name.partition("/")[0] == groups["method"]


@pytest.mark.parametrize(("name", "space"), [(name, space) for name, spaces in FAMILIES.items() for space in spaces])
def test_family_differs_in_the_space_alone(name: str, space: str) -> None:
    found, groups = chosen(name, f"space={space}")
    default, _ = chosen(name)
    assert groups["space"] == found["space"]["name"] == space
    assert {**found, "space": None} == {**default, "space": None}
    assert (found == default) == (space == FAMILIES[name][0])


def test_normalizations_are_of_a_source_and_a_data_set() -> None:
    for path in (CONF / "normalization" / "_data").glob("*.yaml"):
        source, _, dataset = path.stem.removeprefix("_").partition("_")
        assert source in choices("normalization") and dataset in choices("dataset")
    assert choices("normalization") == ["autodl", "drnas"]


def test_fragments_are_used_and_are_no_choices(tmp_path: Path) -> None:
    texts = [path.read_text() for path in (CONF / "experiment").rglob("*.yaml")]
    for path in FRAGMENTS:
        name = path.relative_to(CONF).with_suffix("").as_posix()
        assert sum(f"- /{name}\n" in text for text in texts) > 1, f"{name}: used by fewer than two files"
        assert path.read_text().startswith("# @package _global_\n# Fragment")
    assert len(FRAGMENTS) == 9
    run("search", "experiment=_autodl", f"hydra.run.dir={tmp_path}/run").refused("unknown experiment")
