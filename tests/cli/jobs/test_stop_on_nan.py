"""Runs with a loss that is not finite: one line, and the last complete epoch is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nas.deploy.model import save_model
from nas.spaces.notation import native_string
from tests.support.deploy_tools import random_model
from tests.support.error_tools import NB201, SEARCH, TINY, TRAIN, bomb, hydra_files, run, snapshot, unfinished

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("what", "phrases"),
    [
        ("spoiled", ["train loss is nan", "'supernet.classifier.weight'"]),
        ("huge", ["train loss is", "first module whose output is not finite is 'supernet.classifier'"]),
        ("images", ["train loss is nan", "the images of the batch are not finite"]),
        ("mean", ["its last", "first buffer that is not finite is 'supernet.", "running_mean'"]),
        ("variance", ["its last", "first buffer that is not finite is 'supernet.", "running_var'"]),
        ("validation", ["epoch 1, validation: val/loss is nan", "all parameters and buffers are finite"]),
    ],
)
def test_stop_on_nan_names_the_module_and_keeps_the_last_epoch(
    what: str, phrases: list[str], short_search: Path, tmp_path: Path
) -> None:
    directory = unfinished(short_search, tmp_path / "run")
    before = snapshot(directory)
    found = run("search", f"ckpt_path={directory}", bomb(what))
    checkpoint = directory / "checkpoints" / "last.ckpt"
    found.refused(*phrases, "epoch 1", f"last good checkpoint is {checkpoint}", "method.weight_step.optimizer.lr")
    after = snapshot(directory)
    logged = {"metrics.csv"} if what == "validation" else set()  # a row of the epoch that a resume repeats
    assert {name for name in after if after[name] != before.get(name)} <= hydra_files(after) | logged
    run("search", f"ckpt_path={directory}", "~callbacks.bomb").succeeded()
    assert json.loads((directory / "summary.json").read_text())["epochs"] == 2


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        ("method.weight_step.optimizer.lr=1e30", ["loss is nan", "lower method.", "weight_step.optimizer.lr"]),
        ("method.arch_step.optimizer.lr=1e30", ["'relaxation.alpha.cell'", "a lower method.arch_step.optimizer.lr"]),
        ("method=darts method.weight_step.optimizer.lr=1e30", ["loss is nan", "first module"]),
    ],
)
def test_stop_on_nan_names_the_learning_rate(arguments: str, phrases: list[str], tmp_path: Path) -> None:
    found = run("search", *SEARCH, *arguments.split(), f"hydra.run.dir={tmp_path}")
    found.refused("epoch 0, step", "there is no checkpoint yet", *phrases)
    assert not (tmp_path / "genotype.json").exists() and not (tmp_path / "checkpoints").exists()


def test_stop_on_nan_ends_a_training(tmp_path: Path) -> None:
    arguments = [*TRAIN, f"genotype={NB201}", "epochs=2", f"hydra.run.dir={tmp_path}/huge", bomb("huge")]
    found = run("train", *arguments)
    found.refused("epoch 1, step 1", "'network.classifier'", "last.ckpt", "training.optimizer.lr")
    found = run("train", *TRAIN, f"genotype={NB201}", "training.optimizer.lr=1e30", f"hydra.run.dir={tmp_path}/lr")
    found.refused("train loss is", "'network.", "there is no checkpoint yet")
    assert not (tmp_path / "lr" / "model.pt").exists()


@pytest.mark.parametrize(
    ("what", "phrases"),
    [
        ("mean", ["epoch 0, step 1", "first buffer that is not finite is 'network.", "running_mean'"]),
        ("validation", ["epoch 0, validation: test/loss is nan", "all parameters and buffers are finite"]),
        ("test", ["test: test/loss is nan", "all parameters and buffers are finite"]),
    ],
)
def test_stop_on_nan_refuses_statistics_and_tests_of_a_training(what: str, phrases: list[str], tmp_path: Path) -> None:
    small = ["dataset.size=32", f"genotype={NB201}", f"hydra.run.dir={tmp_path}"]
    run("train", *TRAIN, *small, bomb(what, epoch=0)).refused(*phrases)
    assert not (tmp_path / "model.pt").exists() and not (tmp_path / "summary.json").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_trained_weights_with_statistics_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    """An infinite running variance makes all outputs finite, so that an accuracy would be printed."""
    model = random_model()
    name = next(name for name in model.state if name.endswith("running_var"))
    model.state[name].fill_(value)
    save_model(model, tmp_path / "model.pt")
    place = f"hydra.run.dir={tmp_path / 'run'}"
    for arguments in (["mode=eval"], ["mode=export"]):
        found = run("train", *arguments, f"weights={tmp_path / 'model.pt'}", *TINY, place)
        found.refused(f"weights={tmp_path / 'model.pt'}: '{name}' has values that are not finite")
    given = [*TRAIN, f"genotype={native_string(model.genotype)}", f"init_weights={tmp_path / 'model.pt'}", place]
    run("train", *given).refused(f"init_weights={tmp_path / 'model.pt'}: '{name}' has values that are not finite")


@pytest.mark.gpu
def test_stop_on_nan_keeps_the_last_epoch_on_a_gpu(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    found = run("search", *SEARCH, "epochs=2", "trainer=gpu", f"hydra.run.dir={directory}", bomb("huge"))
    found.refused("train loss is", "epoch 1, step 1", f"last good checkpoint is {directory}/checkpoints/last.ckpt")
    saved = torch.load(directory / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
    assert saved["epoch"] == 0


def test_summary_without_the_check_is_json(tmp_path: Path) -> None:
    """A loss that is not finite is null."""
    run("train", f"genotype={NB201}", *TRAIN, "~callbacks.stop_on_nan", bomb("test"), f"hydra.run.dir={tmp_path}")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["test_loss"] is None and summary["images"] == 16
