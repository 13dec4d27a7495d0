"""Evaluation figures against independent computations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.metrics import confusion_matrix, log_loss, top_k_accuracy_score
from torch import Tensor, nn

from nas.deploy.evaluation import EvaluationModule
from nas.utils.errors import NasError
from tests.support.deploy_tools import Stored


class Given(nn.Module):
    """Network whose logits are the images: [B, classes, 1, 1] -> [B, classes]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def evaluate_logits(logits: Tensor, labels: Tensor, directory: Path, batch: int = 512) -> EvaluationModule:
    """Evaluate a network with these logits [N, classes]."""
    torch.save({"x": logits[:, :, None, None], "y": labels}, directory / "images.pt")
    classes = logits.shape[1]
    data = Stored(str(directory / "images.pt"), classes, bilevel=False, eval_batch_size=batch)
    measurement = EvaluationModule(Given(), classes, keep_logits=True, runs=3)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(accelerator="cpu", enable_model_summary=False, **options)
    trainer.test(measurement, data, verbose=False)
    return measurement


@pytest.mark.parametrize("classes", [3, 7, 100])
def test_report_equals_scikit_learn(classes: int, tmp_path: Path) -> None:
    torch.manual_seed(classes)
    labels = torch.randint(classes, (230,))
    logits = 3 * torch.randn(230, classes) + 4 * nn.functional.one_hot(labels, classes) * torch.rand(230, 1)
    found = evaluate_logits(logits, labels, tmp_path, batch=64).report
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


def test_top_confusions_is_empty_if_all_predictions_are_right(tmp_path: Path) -> None:
    labels = torch.arange(4)
    found = evaluate_logits(9.0 * nn.functional.one_hot(labels), labels, tmp_path).report
    assert found.top_confusions() == [] and found.top1 == 100


def test_evaluation_refuses_outputs_that_are_not_finite(tmp_path: Path) -> None:
    logits = torch.randn(6, 4)
    logits[2, 1], logits[4, 0] = float("nan"), float("inf")
    with pytest.raises(NasError, match="not finite on 2 of 6 images"):
        evaluate_logits(logits, torch.zeros(6, dtype=torch.long), tmp_path)
