"""Data set of a training whose search has left a record, or none (hydra.output_subdir=null)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nas.cli.main import prepare
from nas.cli.overrides.parse import value_of
from nas.deploy.model import save_model
from nas.utils.errors import NasError
from tests.support.deploy_tools import random_model
from tests.support.error_tools import SEARCH, TRAIN, run


@pytest.fixture(scope="module")
def unrecorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of a search on synthetic images without Hydra's record."""
    directory = tmp_path_factory.mktemp("unrecorded") / "run"
    run("search", *SEARCH, "hydra.output_subdir=null", f"hydra.run.dir={directory}").succeeded()
    assert not (directory / ".hydra").exists()
    return directory


@pytest.mark.parametrize("named", ["", "genotype.json"])
def test_training_of_a_run_without_a_record_needs_a_data_set(named: str, unrecorded: Path, tmp_path: Path) -> None:
    place = f"hydra.run.dir={tmp_path / 'run'}"
    run("train", f"genotype={unrecorded / named}", place).refused(
        f"genotype={unrecorded / named}", ".hydra is missing", "Set dataset=synthetic and its options"
    )
    assert not (tmp_path / "run").exists()


def test_training_of_a_run_without_a_record_uses_the_given_data_set(unrecorded: Path, tmp_path: Path) -> None:
    small = ["dataset.size=32", f"hydra.run.dir={tmp_path / 'run'}"]
    run("train", f"genotype={unrecorded}", *TRAIN, *small).succeeded()
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["dataset"] == "synthetic"


@pytest.mark.parametrize("left", ["history.jsonl", "checkpoints/last.ckpt"])
def test_unfinished_run_without_a_record_needs_a_data_set(left: str, tmp_path: Path) -> None:
    (tmp_path / left).parent.mkdir(exist_ok=True)
    (tmp_path / left).touch()
    with pytest.raises(NasError, match="Set dataset=NAME and its options"):
        prepare("train", [f"genotype={tmp_path}"])


def test_protocol_and_genotype_files_need_no_record(unrecorded: Path, tmp_path: Path) -> None:
    """A protocol names its data set; a genotype.json outside of a run is trained on the default data set."""
    assert value_of(prepare("train", [f"genotype={unrecorded}", "protocol=darts_cifar10"]).arguments, "dataset") is None
    (tmp_path / "genotype.json").write_text((unrecorded / "genotype.json").read_text())
    assert value_of(prepare("train", [f"genotype={tmp_path / 'genotype.json'}"]).arguments, "dataset") is None


def test_genotype_file_of_a_run_inherits_its_data_set(unrecorded: Path, tmp_path: Path) -> None:
    (tmp_path / "genotype.json").write_text((unrecorded / "genotype.json").read_text())
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "hydra.yaml").write_text("hydra: {runtime: {choices: {dataset: synthetic}}}")
    (tmp_path / ".hydra" / "overrides.yaml").write_text("[dataset=synthetic, 'dataset.shape=[3,8,8]', dataset.size=64]")
    for named in (tmp_path, tmp_path / "genotype.json"):
        found = prepare("train", [f"genotype={named}"]).arguments
        assert value_of(found, "dataset") == "synthetic" and value_of(found, "dataset.shape") == "[3,8,8]"


def test_evaluation_of_a_run_without_a_record_uses_the_data_set_of_its_network(tmp_path: Path) -> None:
    """A model.pt names its data set, also inside of a run directory, unless it is one of the user's own."""
    (tmp_path / "summary.json").write_text('{"dataset": "mine"}')
    model = random_model(shape=(3, 32, 32))
    for weights in (tmp_path, tmp_path / "model.pt"):
        save_model(replace(model, dataset="cifar10"), tmp_path / "model.pt")
        assert value_of(prepare("train", ["mode=eval", f"weights={weights}"]).arguments, "dataset") == "cifar10"
        save_model(replace(model, dataset="mine"), tmp_path / "model.pt")
        with pytest.raises(NasError, match="model.pt: dataset=mine is not a choice of your configuration"):
            prepare("train", ["mode=eval", f"weights={weights}"])
