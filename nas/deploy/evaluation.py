"""What a trained network is worth on a test set."""

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
    """A class: its images in the test set, and how many of them were recognized; ``accuracy`` in percent, None of 0."""

    name: str
    images: int
    correct: int

    @property
    def accuracy(self) -> float | None:
        return 100 * self.correct / self.images if self.images else None


@dataclass(frozen=True)
class EvaluationReport:
    """``top1`` and ``top5`` in percent (``top5`` None of up to five classes), the mean cross-entropy ``loss``.

    ``calibration_error`` is the expected one (Guo et al., ICML 2017) in percent, in 15 bins of the confidence.
    ``confusion`` int64 [classes, classes] counts images by their class (row) and the class they were taken for.
    ``batched`` and ``single`` are the times of a batch of the evaluation and of one image.
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
        """The result of each class; labels stand for names that are not known."""
        rows = zip(self.confusion.sum(1).tolist(), self.confusion.diag().tolist(), strict=True)
        return [ClassAccuracy(names[k] if names else str(k), *row) for k, row in enumerate(rows)]

    def top_confusions(self, count: int = 3) -> list[tuple[int, int, int]]:
        """(class, taken for, images) of the most frequent mistakes; fewer where there are fewer."""
        wrong = self.confusion - torch.diag(self.confusion.diag())
        found = wrong.flatten().sort(descending=True, stable=True)
        pairs = zip(found.values[:count].tolist(), found.indices[:count].tolist(), strict=True)
        return [(at // len(wrong), at % len(wrong), images) for images, at in pairs if images]


class EvaluationModule(pl.LightningModule):
    """Tests a network, then times it; ``result`` holds what was found once the test is over.

    Raises NasError for outputs that are not finite. ``keep`` keeps the logits of all images, in the order of the test
    set. ``runs`` is the number of timed passes over one image.
    """

    result: EvaluationReport

    def __init__(self, network: nn.Module, classes: int, keep: bool = False, runs: int = 100) -> None:
        super().__init__()
        self.network = network
        self.top1 = MulticlassAccuracy(classes, average="micro")
        self.top5 = MulticlassAccuracy(classes, top_k=TOP, average="micro") if classes > TOP else None
        self.calibration = MulticlassCalibrationError(classes, n_bins=BINS, norm="l1")
        self.confusion = MulticlassConfusionMatrix(classes)
        self.loss = MeanMetric()
        self.runs = runs
        self._finite: list[Tensor] = []
        self._kept: list[tuple[Tensor, Tensor]] | None = [] if keep else None
        self._batch: Tensor | None = None

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, target = batch
        logits: Tensor = self.network(x).float()
        if self._batch is None:
            self._batch = x
        finite = logits.isfinite().all(1)
        self._finite.append(finite)
        logits = logits.nan_to_num()  # the metrics stumble over what is refused at the end
        for metric in (self.top1, self.top5, self.calibration, self.confusion):
            if metric is not None:
                metric.update(logits, target)
        self.loss.update(F.cross_entropy(logits, target), weight=len(target))
        if self._kept is not None:
            self._kept.append((logits, target))

    def on_test_epoch_end(self) -> None:
        finite = torch.cat(self._finite)
        broken = int((~finite).sum())
        if broken:
            raise NasError(f"the network's outputs are not finite on {broken} of {len(finite)} images: bad weights")
        assert self._batch is not None
        x = self._batch
        with self.trainer.precision_plugin.forward_context():
            batched = measure_latency(self.network, x, warmup=2, runs=10, seconds=3.0)
            single = measure_latency(self.network, x[:1].clone(), runs=self.runs)
        kept: Any = [] if self._kept is None else [torch.cat(parts).cpu() for parts in zip(*self._kept, strict=True)]
        self.result = EvaluationReport(
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
