"""Run directories of version 0.1.0: read with their names translated, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.cli.overrides.inherit_from_training import inherit_from_training
from tests.support.error_tools import NB201, SEARCH, TRAIN, run, unfinished

OLD_KEYS = {
    "dataset.on_device": "dataset.resident",
    "dataset.num_workers": "dataset.workers",
    "method.weight_step.clip_params": "method.clip_scope",
    "method.weight_step.optimizer": "method.weight_optimizer",
}
OLD_VALUES = {"method.clip_scope=all_accumulated": "method.clip_scope=all_stale"}
OPTIONS = ("dataset.on_device=false", "method.weight_step.clip_params=all_accumulated")


def as_old(directory: Path) -> Path:
    """Rewrite the record of a run with the names of version 0.1.0."""
    record = directory / ".hydra"
    text = (record / "overrides.yaml").read_text()
    for new, old in (*OLD_KEYS.items(), *OLD_VALUES.items()):
        text = text.replace(new, old)
    (record / "overrides.yaml").write_text(text)
    config: dict[str, Any] = yaml.safe_load((record / "config.yaml").read_text())
    config["dataset"]["resident"] = config["dataset"].pop("on_device")
    if "method" in config:
        config["method"]["schedules"] = config["method"].pop("callbacks", [])
    (record / "config.yaml").write_text(yaml.safe_dump(config))
    return directory


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of a search of one epoch, with a record of version 0.1.0."""
    directory = tmp_path_factory.mktemp("searched") / "run"
    run("search", *SEARCH, *OPTIONS, f"hydra.run.dir={directory}").succeeded()
    return as_old(directory)


def test_record_of_the_fixture_has_old_names(searched: Path) -> None:
    overrides = yaml.safe_load((searched / ".hydra" / "overrides.yaml").read_text())
    assert {"dataset.resident=false", "method.clip_scope=all_stale"} <= set(overrides)


def test_search_of_an_earlier_version_is_resumed(searched: Path, tmp_path: Path) -> None:
    directory = unfinished(searched, tmp_path / "run")
    run("search", f"ckpt_path={directory}").succeeded()
    assert json.loads((directory / "summary.json").read_text())["epochs"] == 2
    assert set(OPTIONS) <= set(yaml.safe_load((directory / ".hydra" / "overrides.yaml").read_text()))


def test_genotype_of_an_earlier_version_is_trained_on_its_data(searched: Path, tmp_path: Path) -> None:
    more = [argument for argument in TRAIN if not argument.startswith("dataset")]
    run("train", f"genotype={searched}", *more, f"hydra.run.dir={tmp_path}").succeeded()
    assert json.loads((tmp_path / "summary.json").read_text())["dataset"] == "synthetic"


def test_training_of_an_earlier_version_is_evaluated_on_its_data(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    run("train", *TRAIN, OPTIONS[0], f"genotype={NB201}", f"hydra.run.dir={directory}").succeeded()
    as_old(directory)
    inherited = inherit_from_training(["mode=eval", f"weights={directory}"])
    assert {"dataset=synthetic", "dataset.on_device=false", "dataset.test_size=16"} <= set(inherited)


def test_supernet_of_an_earlier_version_is_refused(searched: Path, tmp_path: Path) -> None:
    more = ["method=random_search", "evaluator=supernet", f"evaluator.supernet_dir={searched}"]
    run("search", *SEARCH, *more, f"hydra.run.dir={tmp_path}").refused("a run of an earlier version", "Search again")


def test_repetitions_of_an_earlier_version_are_refused(tmp_path: Path) -> None:
    more = ["method=random_search", "proxy=params", "method.budget.queries=2", "method.repetitions=2"]
    run("search", *SEARCH, *more, f"hydra.run.dir={tmp_path}/run").succeeded()
    (tmp_path / "run" / "summary.json").unlink()
    as_old(tmp_path / "run")
    run("search", f"ckpt_path={tmp_path}/run").refused("are of an earlier version", "from scratch")


def test_ambiguous_name_of_an_earlier_version_is_refused(searched: Path, tmp_path: Path) -> None:
    directory = unfinished(searched, tmp_path / "run")
    (directory / ".hydra" / "overrides.yaml").write_text("[method=drnas, method.relaxation.strength=0.1]")
    found = run("search", f"ckpt_path={directory}")
    found.refused("is of an earlier version", "method.relaxation.reg_scale or method.relaxation.zero_one_weight")
