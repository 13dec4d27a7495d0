"""Evaluation of a trained network on a test set: accuracy, calibration, confusion and latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassConfusionMatrix

from nas.deploy.latency import Latency, measure_latency
from nas.utils.errors import NasError

BINS = 15
TOP = 5


class ClassAccuracy(NamedTuple):
    """Test images and correct predictions of a class."""

    name: str
    images: int
    correct: int

    @property
    def accuracy(self) -> float | None:
        """Accuracy in percent; None without test images."""
        return 100 * self.correct / self.images if self.images else None


@dataclass(frozen=True)
class EvaluationReport:
    """Results of an evaluation.

    Args:
        images: number of test images.
        top1, top5: accuracies in percent; ``top5`` is None for at most five classes.
        loss: mean cross-entropy.
        calibration_error: expected calibration error (Guo et al., ICML 2017) in percent, with 15 bins.
        confusion: int64 [classes, classes], images by true class (row) and predicted class (column).
        batched, single: latencies of a batch of the evaluation and of a single image.
        logits, labels: logits [images, classes] and labels [images] in the order of the test set, if kept.
    """

    images: int
    top1: float
    top5: float | None
    loss: float
    calibration_error: float
    confusion: Tensor
    batched: Latency
    single: Latency
    logits: Tensor | None = None
    labels: Tensor | None = None

    def per_class(self, names: tuple[str, ...]) -> list[ClassAccuracy]:
        """Return the accuracy of each class; labels replace unknown names."""
        rows = zip(self.confusion.sum(1).tolist(), self.confusion.diag().tolist(), strict=True)
        return [ClassAccuracy(names[k] if names else str(k), *row) for k, row in enumerate(rows)]

    def top_confusions(self, count: int = 3) -> list[tuple[int, int, int]]:
        """Return up to ``count`` most frequent errors as (true class, predicted class, images)."""
        errors = self.confusion - torch.diag(self.confusion.diag())
        ranked = errors.flatten().sort(descending=True, stable=True)
        pairs = zip(ranked.values[:count].tolist(), ranked.indices[:count].tolist(), strict=True)
        return [(index // len(errors), index % len(errors), images) for images, index in pairs if images]


class EvaluationModule(pl.LightningModule):
    """Test a network, then measure its latency. ``report`` is available after the test.

    Args:
        network: the network in evaluation mode.
        classes: number of classes.
        keep_logits: keep the logits of all images.
        runs: timed passes over a single image.

    Raises:
        NasError: at the end of the test, if outputs are not finite.
    """

    report: EvaluationReport

    def __init__(self, network: nn.Module, classes: int, keep_logits: bool = False, runs: int = 100) -> None:
        super().__init__()
        self.network = network
        self.top1 = MulticlassAccuracy(classes, average="micro")
        self.top5 = MulticlassAccuracy(classes, top_k=TOP, average="micro") if classes > TOP else None
        self.calibration = MulticlassCalibrationError(classes, n_bins=BINS, norm="l1")
        self.confusion = MulticlassConfusionMatrix(classes)
        self.loss = MeanMetric()
        self.runs = runs
        self._finite: list[Tensor] = []
        self._logits: list[tuple[Tensor, Tensor]] | None = [] if keep_logits else None
        self._first_batch: Tensor | None = None

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, target = batch
        logits: Tensor = self.network(x).float()
        if self._first_batch is None:
            self._first_batch = x
        finite = logits.isfinite().all(1)
        self._finite.append(finite)
        logits = logits.nan_to_num()  # the metrics would fail on values that are rejected at the end of the test
        for metric in (self.top1, self.top5, self.calibration, self.confusion):
            if metric is not None:
                metric.update(logits, target)
        self.loss.update(F.cross_entropy(logits, target), weight=len(target))
        if self._logits is not None:
            self._logits.append((logits, target))

    def on_test_epoch_end(self) -> None:
        finite = torch.cat(self._finite)
        bad = int((~finite).sum())
        if bad:
            raise NasError(f"weights: the outputs of the network are not finite on {bad} of {len(finite)} images.")
        assert self._first_batch is not None
        x = self._first_batch
        with self.trainer.precision_plugin.forward_context():
            batched = measure_latency(self.network, x, warmup=2, runs=10, seconds=3.0)
            single = measure_latency(self.network, x[:1].clone(), runs=self.runs)
        kept: Any = (
            [] if self._logits is None else [torch.cat(parts).cpu() for parts in zip(*self._logits, strict=True)]
        )
        self.report = EvaluationReport(
            len(finite),
            100 * float(self.top1.compute()),
            None if self.top5 is None else 100 * float(self.top5.compute()),
            float(self.loss.compute()),
            100 * float(self.calibration.compute()),
            self.confusion.compute().cpu(),
            batched,
            single,
            *kept,
        )
