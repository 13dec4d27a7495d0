"""Evaluation of a trained network: its figures, files and data set."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data.synthetic import Synthetic
from tests.support.deploy_tools import random_model, save_random_model
from tests.support.error_tools import TRAIN, run, snapshot


@pytest.mark.parametrize(
    "how", ["weights={}", "weights={}/model.pt", "genotype={}", "weights={}/checkpoints/last.ckpt"]
)
def test_evaluation_repeats_the_test_of_the_training(how: str, small_training: Path, tmp_path: Path) -> None:
    """Accuracy and loss equal those of the training up to rounding."""
    before = snapshot(small_training)
    output = tmp_path / "out"
    found = run("train", "mode=eval", how.format(small_training), "evaluation.runs=2", f"hydra.run.dir={output}")
    found.succeeded()
    assert snapshot(small_training) == before, "no file of the training changes"
    expected, got = (json.loads((place / "summary.json").read_text()) for place in (small_training, output))
    assert got["test_accuracy"] == pytest.approx(expected["test_accuracy"], rel=1e-6)
    assert got["test_loss"] == pytest.approx(expected["test_loss"], rel=1e-5)
    for key in ("genotype", "space", "dataset", "seed", "parameters", "macs"):
        assert got[key] == expected[key], key
    assert got["images"] == 40 and got["mean"] == pytest.approx([0.45] * 3) and got["std"] == pytest.approx([0.3] * 3)
    assert got["images_per_second"] > 0 and got["image_seconds"]["runs"] == 3
    files = {path.name for path in output.iterdir() if path.is_file()}
    assert files == {"summary.json", "classes.csv", "confusion.csv", "confusion.png", "train.log"}
    with (output / "classes.csv").open() as file:
        rows = list(csv.DictReader(file))
    counts = np.loadtxt(output / "confusion.csv", delimiter=",", dtype=int)
    assert [int(row["images"]) for row in rows] == counts.sum(1).tolist() and counts.sum() == 40
    assert [int(row["correct"]) for row in rows] == np.diag(counts).tolist()
    text = (output / "train.log").read_text()
    for phrase in ("top-1", "top-5", "expected calibration error", "images/s in batches of 40", "latency"):
        assert phrase in text, phrase


def test_evaluation_normalizes_as_in_the_training(tmp_path: Path) -> None:
    model = save_random_model(tmp_path / "moved.pt")
    tiny = [a for a in TRAIN if a.startswith("dataset.") and "batch_size" not in a]
    arguments = ["mode=eval", f"weights={model}", *tiny, "evaluation.runs=1", "evaluation.logits=true"]
    run("train", *arguments, f"hydra.run.dir={tmp_path}/a").succeeded()
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert summary["mean"] == pytest.approx([0.4] * 3) and "mean [0.4" in (tmp_path / "a" / "train.log").read_text()
    run("train", *arguments, "dataset.mean=0.5", "dataset.std=0.25", f"hydra.run.dir={tmp_path}/b").succeeded()
    assert json.loads((tmp_path / "b" / "summary.json").read_text())["mean"] == [0.5] * 3
    first, second = (torch.load(tmp_path / name / "logits.pt", weights_only=True)["logits"] for name in "ab")
    assert not torch.allclose(first, second)
    network = random_model().network()
    images = Synthetic(shape=(3, 8, 8), size=64, test_size=16, mean=0.4, std=0.2).test_dataloader()
    with torch.no_grad():
        torch.testing.assert_close(first, torch.cat([network(x) for x, _ in images]), rtol=1e-4, atol=1e-5)


def test_evaluation_does_not_overwrite_a_finished_run(small_training: Path, tmp_path: Path) -> None:
    arguments = ["mode=eval", f"weights={small_training}", "evaluation.runs=1", f"hydra.run.dir={tmp_path}"]
    run("train", *arguments).succeeded()
    before = snapshot(tmp_path)
    run("train", *arguments).refused("holds a finished run")
    run("train", *arguments[:2], f"hydra.run.dir={small_training}").refused("holds a finished run")
    assert snapshot(tmp_path) == before
