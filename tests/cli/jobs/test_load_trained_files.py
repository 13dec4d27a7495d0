"""Run directories without a network, hostile and damaged files, and wrapped state_dicts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import nas
from nas.utils.errors import NasError
from tests.support.deploy_tools import NB201, random_model, save_random_model
from tests.support.error_tools import TRAIN, run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained") / "run"
    arguments = [a for a in TRAIN if not a.startswith("dataset.test_size")]
    more = ["dataset.test_size=24", "dataset.classes=6", f"genotype={NB201}"]
    run("train", *arguments, *more, f"hydra.run.dir={directory}").succeeded()
    return directory


def without(source: Path, directory: Path, *names: str) -> Path:
    """Copy a run without some of its files."""
    shutil.copytree(source, directory)
    for name in names:
        (directory / name).unlink()
    return directory


def refused(source: object, *phrases: str, tmp_path: Path) -> None:
    """Assert the same line from train.py and from ``nas.load``."""
    found = run("train", "mode=eval", f"weights={source}", f"hydra.run.dir={tmp_path}/out")
    found.refused("weights=", *phrases)
    with pytest.raises(NasError) as error:
        nas.load(str(source))
    assert f"error: {error.value}\n" == found.erred


def test_load_trained_explains_directories_without_a_network(trained: Path, tmp_path: Path) -> None:
    unfinished = without(trained, tmp_path / "unfinished", "model.pt", "summary.json", "genotype.json")
    said = ["no model.pt", "has not finished", f"ckpt_path={unfinished}", str(unfinished / "checkpoints" / "last.ckpt")]
    refused(unfinished, *said, tmp_path=tmp_path)
    begun = without(unfinished, tmp_path / "begun", "checkpoints/last.ckpt")
    refused(begun, "stopped before the end of the first epoch", tmp_path=tmp_path)
    search = tmp_path / "search"
    search.mkdir()
    shutil.copy(trained / "genotype.json", search)
    refused(search, "the run of a search", f"python train.py genotype={search}", tmp_path=tmp_path)
    save_random_model(tmp_path / "sweep" / "3" / "model.pt")
    refused(
        tmp_path / "sweep", "1 of its directories", "one run of the sweep", f"{tmp_path}/sweep/3", tmp_path=tmp_path
    )
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no model.pt", "a finished training", tmp_path=tmp_path)
    refused("missing.pt", "missing.pt: no such file", "the directory of a training", tmp_path=tmp_path)
    refused(NB201, "a genotype without weights", "genotype to this genotype", tmp_path=tmp_path)
    refused("GDAS_V1", "GDAS_V1: a genotype without weights", tmp_path=tmp_path)


def test_load_trained_reads_the_checkpoint_of_an_unfinished_training(trained: Path, tmp_path: Path) -> None:
    """Genotype, network options and data are those of the run."""
    directory = without(trained, tmp_path / "unfinished", "model.pt", "summary.json", "genotype.json")
    checkpoint = directory / "checkpoints" / "last.ckpt"
    logits = []
    for name, source in (("a", trained), ("b", checkpoint)):
        arguments = [f"weights={source}", "evaluation.runs=1", "evaluation.logits=true"]
        run("train", "mode=eval", *arguments, f"hydra.run.dir={tmp_path}/{name}").succeeded()
        logits.append(torch.load(tmp_path / name / "logits.pt", weights_only=True)["logits"])
    assert logits[0].shape == (24, 6) and torch.equal(*logits)


class Trap:
    """Object that runs a command when it is unpickled."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.directory}/trap",)


@pytest.mark.parametrize("archive", [True, False])
def test_load_trained_names_the_function_of_a_hostile_file(archive: bool, tmp_path: Path) -> None:
    value = {"state_dict": random_model().state, "x": Trap(tmp_path)}
    torch.save(value, tmp_path / "w.pt", _use_new_zipfile_serialization=archive)
    refused(
        tmp_path / "w.pt", f"a Python object ({os.system.__module__}.system)", "state_dict alone", tmp_path=tmp_path
    )
    assert not (tmp_path / "trap").exists()


def test_load_trained_refuses_truncated_and_foreign_files(tmp_path: Path) -> None:
    whole = save_random_model(tmp_path / "model.pt").read_bytes()
    for name, content, phrase in (
        ("cut.pt", whole[: len(whole) // 2], "the file is truncated"),
        ("text.pt", b"hello", "not a file of torch.save"),
    ):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, f"{name}: {phrase}", tmp_path=tmp_path)
    torch.save({1: torch.zeros(1)}, tmp_path / "numbered.pt")
    refused(tmp_path / "numbered.pt", "contains a mapping with 1, but no state_dict", tmp_path=tmp_path)


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


def lightning(state: Mapping[str, Tensor]) -> dict[str, Any]:
    return {"pytorch-lightning_version": "2.5", "epoch": 3, "state_dict": {**state, "loss.weight": torch.ones(10)}}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: prefixed("module.", state),
        lambda state: prefixed("network.", state),  # nas.load(RUN).state_dict()
        lambda state: prefixed("module._orig_mod.", state),
        lambda state: {"net": prefixed("module.", state), "acc": 93.0},
        lambda state: {"model": {"state_dict": state}, "epoch": 1},
        lambda state: lightning(prefixed("model.", state)),
        lambda state: lightning(prefixed("network.", state)),
        lambda state: lightning(prefixed("net.module.", state)),
    ],
)
def test_load_removes_wrappers_around_a_state_dict(wrap: Any, tmp_path: Path) -> None:
    model = random_model()
    torch.save(wrap(model.state), tmp_path / "w.pt")
    network = nas.load(tmp_path / "w.pt", genotype=NB201, shape=(3, 8, 8))
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network(x), model.network()(x))
