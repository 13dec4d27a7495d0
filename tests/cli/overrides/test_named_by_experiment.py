"""An experiment of the user for train.py takes precedence over the data set of the search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from nas.cli.main import prepare
from nas.cli.overrides.named_by_experiment import named_by_experiment
from nas.cli.overrides.parse import value_of
from nas.utils.errors import NasError
from tests.support.compose_tools import CONF
from tests.support.error_tools import run

BASE = "# @package _global_\n"
DIGITS = f"{BASE}defaults:\n  - override /dataset: digits\n"
SIZE = ("network.channels=4", "network.cells_per_stage=1", "epochs=1")


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """Return a directory of the user's configuration with experiments for train.py."""
    files = {
        "digits": DIGITS,
        "nested": f"{BASE}defaults: [part/digits]\n",
        "part/digits": DIGITS,
        "shape": f"{BASE}dataset: {{shape: [3, 16, 16], root: null}}\nepochs: 2\n",
        "plain": f"{BASE}epochs: 2\n",
        "broken": f"{BASE}defaults:\n  - override /nothing: x\n",
    }
    for name, text in files.items():
        file = tmp_path / "conf" / "experiment" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "conf"


def arguments(conf: Path, *given: str) -> list[str]:
    return prepare("train", ["-cd", str(conf), *given, f"hydra.run.dir={conf.parent}/run"]).arguments


@pytest.mark.parametrize(
    ("experiment", "dataset", "shape"),
    [
        ("digits", None, None),
        ("nested", None, None),
        ("shape", "synthetic", None),
        ("plain", "synthetic", "[3,8,8]"),
    ],
)
def test_experiment_replaces_inherited_values_that_it_names(
    experiment: str, dataset: str | None, shape: str | None, conf: Path, short_search: Path
) -> None:
    found = arguments(conf, f"genotype={short_search}", f"experiment={experiment}")
    assert (value_of(found, "dataset"), value_of(found, "dataset.shape")) == (dataset, shape)


def test_experiment_is_trained_on_its_data_set(conf: Path, short_search: Path, tmp_path: Path) -> None:
    place = f"hydra.run.dir={tmp_path}/run"
    run("train", "-cd", conf, f"genotype={short_search}", "experiment=digits", *SIZE, place).succeeded()
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["dataset"] == "digits"


def test_command_line_precedes_the_experiment(conf: Path, short_search: Path) -> None:
    found = arguments(conf, f"genotype={short_search}", "experiment=digits", "dataset=synthetic")
    assert value_of(found, "dataset") == "synthetic" and value_of(found, "dataset.shape") is None


def test_jobs_of_a_sweep_follow_their_experiment(conf: Path, short_search: Path, tmp_path: Path) -> None:
    place = f"hydra.sweep.dir={tmp_path}/sweep"
    given = [f"genotype={short_search}", "experiment=digits,plain", *SIZE, place]
    run("train", "-m", "-cd", conf, *given).succeeded()
    found = [json.loads((tmp_path / "sweep" / job / "summary.json").read_text())["dataset"] for job in "01"]
    assert found == ["digits", "synthetic"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["experiment=digits"], ["dataset=digits"]),
        (["experiment=nested"], ["dataset=digits"]),
        (["experiment=shape"], ["epochs=2", "dataset.root=null", "dataset.shape=[3, 16, 16]"]),
        (["experiment=broken"], []),
        (["experiment=missing"], []),
        (["experiment=gdas/nas_bench_201"], []),
        (["epochs=1"], []),
    ],
)
def test_names_are_those_of_the_file_and_its_parts(given: Sequence[str], expected: list[str], conf: Path) -> None:
    assert sorted(named_by_experiment(given, (CONF, conf))) == sorted(expected)


def test_names_of_runs_are_resolved(conf: Path, short_search: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOUND", str(short_search))
    (conf / "experiment" / "environment.yaml").write_text(f"{BASE}genotype: ${{oc.env:FOUND}}\n")
    assert value_of(arguments(conf, "experiment=environment"), "dataset") == "synthetic"
    (conf / "experiment" / "reference.yaml").write_text(f"{BASE}genotype: ${{paths.root_dir}}/run\n")
    with pytest.raises(NasError, match="experiment=reference: genotype=.* refers to another key"):
        arguments(conf, "experiment=reference")
