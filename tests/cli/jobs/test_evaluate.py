"""Evaluations: figures against independent computations, and the files of a run."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.metrics import confusion_matrix, log_loss, top_k_accuracy_score
from torch import Tensor, nn

from nas.cli.overrides.inherit_from_training import inherit_from_training
from nas.data.synthetic import Synthetic
from nas.deploy.evaluation import EvaluationModule
from nas.deploy.latency import measure_latency
from nas.utils.errors import NasError
from tests.support.deploy_tools import Stored, random_model, save_random_model
from tests.support.error_tools import NB201, TRAIN, run, snapshot


class Given(nn.Module):
    """Logits that are the images themselves: [B, classes, 1, 1] -> [B, classes]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def judged(logits: Tensor, labels: Tensor, directory: Path, batch: int = 512) -> EvaluationModule:
    """A test of a network with these outputs, of as many classes as they have."""
    torch.save({"x": logits[:, :, None, None], "y": labels}, directory / "images.pt")
    classes = logits.shape[1]
    data = Stored(str(directory / "images.pt"), classes, bilevel=False, eval_batch_size=batch)
    measurement = EvaluationModule(Given(), classes, keep_logits=True, runs=3)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(accelerator="cpu", enable_model_summary=False, **options)
    trainer.test(measurement, data, verbose=False)
    return measurement


@pytest.mark.parametrize("classes", [3, 7, 100])
def test_numbers(classes: int, tmp_path: Path) -> None:
    torch.manual_seed(classes)
    labels = torch.randint(classes, (230,))
    logits = 3 * torch.randn(230, classes) + 4 * nn.functional.one_hot(labels, classes) * torch.rand(230, 1)
    found = judged(logits, labels, tmp_path, batch=64).report
    p, y = logits.double().softmax(1).numpy(), labels.numpy()
    every = range(classes)
    assert found.images == 230
    assert found.top1 == pytest.approx(100 * float((p.argmax(1) == y).mean()), rel=1e-6)
    five = None if classes <= 5 else 100 * top_k_accuracy_score(y, p, k=5, labels=every)
    assert (found.top5 is None) if five is None else found.top5 == pytest.approx(five, rel=1e-6)
    assert found.loss == pytest.approx(log_loss(y, p, labels=every), rel=1e-5)
    assert np.array_equal(found.confusion.numpy(), confusion_matrix(y, p.argmax(1), labels=every))
    bins = np.minimum((p.max(1) * 15).astype(int), 14)
    right = p.argmax(1) == y
    gaps = [abs(right[bins == b].mean() - p.max(1)[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    assert found.calibration_error == pytest.approx(100 * sum(gaps), rel=1e-4)
    assert found.logits is not None and torch.equal(found.logits, logits) and torch.equal(found.labels, labels)
    for k, row in enumerate(found.per_class(())):
        assert (row.name, row.images, row.correct) == (str(k), int((y == k).sum()), int((right & (y == k)).sum()))
        assert row.accuracy == (100 * row.correct / row.images if row.images else None)
    wrong = found.confusion.numpy() - np.diag(np.diag(found.confusion.numpy()))
    (label, taken, images), *_ = found.top_confusions()
    assert images == wrong.max() == wrong[label, taken] and label != taken


def test_nothing_is_confused_where_all_is_right(tmp_path: Path) -> None:
    labels = torch.arange(4)
    found = judged(9.0 * nn.functional.one_hot(labels), labels, tmp_path).report
    assert found.top_confusions() == [] and found.top1 == 100


def test_outputs_that_are_not_finite(tmp_path: Path) -> None:
    logits = torch.randn(6, 4)
    logits[2, 1], logits[4, 0] = float("nan"), float("inf")
    with pytest.raises(NasError, match="not finite on 2 of 6 images"):
        judged(logits, torch.zeros(6, dtype=torch.long), tmp_path)


def test_times() -> None:
    calls: list[int] = []

    def slow(x: Tensor) -> None:
        calls.append(len(x))
        time.sleep(0.03 if len(calls) % 2 else 0.01)

    found = measure_latency(slow, torch.zeros(4, 1, 1, 1), warmup=2, runs=9)
    assert calls == [4] * 11 and (found.batch, found.runs) == (4, 9)
    assert 0.01 <= found.low < 0.02 < 0.03 <= found.high and found.low <= found.median <= found.high
    assert found.images_per_second == pytest.approx(4 / found.median)
    assert measure_latency(slow, torch.zeros(1), warmup=2, runs=9, seconds=0.0).runs == 3


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a training with options of the data set that are not the usual ones."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    options = ["dataset.mean=0.45", "dataset.std=0.3", "dataset.classes=6", "seed=3", "dataset.batch_size=8"]
    arguments = [a for a in TRAIN if not a.startswith(("dataset.test_size", "dataset.batch_size"))]
    more = ["dataset.test_size=40", "network.channels=4", f"genotype={NB201}"]
    run("train", *arguments, *options, *more, f"hydra.run.dir={directory}").succeeded()
    return directory


@pytest.mark.parametrize(
    "how", ["weights={}", "weights={}/model.pt", "genotype={}", "weights={}/checkpoints/last.ckpt"]
)
def test_a_run_is_evaluated_on_its_own_data(how: str, trained: Path, tmp_path: Path) -> None:
    """The same accuracy and loss as at the end of the training, to the last digit that is not rounding."""
    before = snapshot(trained)
    output = tmp_path / "out"
    found = run("train", "mode=eval", how.format(trained), "evaluation.runs=2", f"hydra.run.dir={output}")
    found.succeeded()
    assert snapshot(trained) == before, "nothing of the training is touched"
    expected, got = (json.loads((place / "summary.json").read_text()) for place in (trained, output))
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


def test_where_the_data_set_comes_from(trained: Path, tmp_path: Path) -> None:
    taken = inherit_from_training(["mode=eval", f"weights={trained}"])
    expected = ["dataset=synthetic", "dataset.shape=[3,8,8]", "dataset.classes=6", "dataset.size=64"]
    assert set(expected) <= set(taken) and "seed=3" in taken and taken[-1] == f"weights={trained}"
    assert "seed=9" in (given := inherit_from_training(["seed=9", f"weights={trained}"])) and "seed=3" not in given
    assert inherit_from_training(["dataset=digits", f"weights={trained}"]) == ["dataset=digits", f"weights={trained}"]
    alone = save_random_model(tmp_path / "moved.pt")
    assert inherit_from_training([f"weights={alone}"])[0] == "dataset=synthetic"
    assert inherit_from_training(["weights=nowhere"]) == ["weights=nowhere"]


def test_a_model_elsewhere_keeps_its_normalization(tmp_path: Path) -> None:
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


def test_a_finished_evaluation_is_not_written_over(trained: Path, tmp_path: Path) -> None:
    arguments = ["mode=eval", f"weights={trained}", "evaluation.runs=1", f"hydra.run.dir={tmp_path}"]
    run("train", *arguments).succeeded()
    before = snapshot(tmp_path)
    run("train", *arguments).refused("holds a finished run")
    run("train", *arguments[:2], f"hydra.run.dir={trained}").refused("holds a finished run")
    assert snapshot(tmp_path) == before
