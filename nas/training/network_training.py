"""Lightning module that trains a single network from scratch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric, SumMetric
from torchmetrics.classification import MulticlassAccuracy

from nas.nn.drop_path import DropPath
from nas.objectives.classification import Classification
from nas.spaces.base import Network
from nas.spaces.check_inputs import check_data
from nas.training.base import BaseTraining
from nas.training.lr_schedule import LRDecay
from nas.utils.errors import NasError
from nas.utils.ranges import CLASSES, DROP_PROBABILITY, NOT_NEGATIVE, POSITIVE, PROBABILITY, SEED, check_ranges

log = logging.getLogger(__name__)

Batch = tuple[Tensor, Tensor]


UNKNOWN = -1


class Best(NamedTuple):
    """Best test accuracy in percent, the number of epochs until then, and the number of images of that test."""

    accuracy: float
    epochs: int
    images: int


MANY_CLASSES = 100  # data sets with at least this many classes also report the top-5 accuracy


@check_ranges(
    classes=CLASSES,
    label_smoothing=PROBABILITY,
    auxiliary_weight=NOT_NEGATIVE,
    drop_path=DROP_PROBABILITY,
    clip_norm=POSITIVE,
    seed=SEED,
)
class Training(BaseTraining):
    """Train and test the network of a genotype on images.

    If the data set provides the test images for validation, ``best`` holds the best test accuracy in percent, the
    number of epochs until then and the number of images of that test. ``tested_images`` is the number of images of the
    last test, summed over ranks.

    Args:
        network: network of the genotype.
        optimizer: factory of the optimizer, called with parameters or parameter groups.
        scheduler: factory of the learning-rate scheduler; None: constant learning rate.
        classes: number of classes.
        label_smoothing: label smoothing of the training loss.
        auxiliary_weight: weight of the loss of the auxiliary head, if there is one.
        drop_path: final drop-path probability; it grows linearly from 0, as epoch / epochs (DARTS).
        clip_norm: maximum norm of the gradient over all parameters; None: no clipping.
        decay_norm_and_bias: apply weight decay to biases and to the parameters of norms.
        seed: seed of drop path and dropout in distributed training, together with epoch, batch and rank. Ranks differ,
            and a resumed run samples the same numbers, also within an epoch.

    Raises:
        NasError: if ``drop_path`` is set and the network has no drop path.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Callable[[Any], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        classes: int = 10,
        label_smoothing: float = 0.0,
        auxiliary_weight: float = 0.4,
        drop_path: float = 0.0,
        clip_norm: float | None = 5.0,
        decay_norm_and_bias: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(network, optimizer, scheduler, clip_norm, decay_norm_and_bias, seed)
        if drop_path and not any(isinstance(module, DropPath) for module in network.modules()):
            raise NasError(f"training.drop_path={drop_path}: this network has no drop path. Set training.drop_path=0.")
        self.memory_format = torch.contiguous_format
        self.task = Classification(label_smoothing)
        self.classes = classes
        self.auxiliary_weight = auxiliary_weight
        self.drop_path = drop_path
        self.best: Best | None = None
        self.test_accuracy = MulticlassAccuracy(classes, average="micro")
        self.test_top5 = MulticlassAccuracy(classes, top_k=5, average="micro") if classes >= MANY_CLASSES else None
        self.test_loss = MeanMetric()
        self.test_images = SumMetric()

    def setup(self, stage: str) -> None:
        check_data(getattr(self.trainer, "datamodule", None), self.classes)

    def set_memory_format(self, memory_format: torch.memory_format) -> None:
        """Store the convolutions of the network, and all images, in a memory format."""
        self.memory_format = memory_format
        network: nn.Module = self.network
        network.to(memory_format=memory_format)  # type: ignore[call-overload]

    def on_train_epoch_start(self) -> None:
        self._set_drop_path()
        super().on_train_epoch_start()

    def _set_drop_path(self) -> None:
        probability = self.drop_path * self.current_epoch / (self.trainer.max_epochs or 1)
        for module in self.network.modules():
            if isinstance(module, DropPath):
                module.probability = probability

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        x, target = batch
        outputs = self.network.outputs(x.contiguous(memory_format=self.memory_format))
        logits, auxiliary = outputs.logits, outputs.auxiliary
        loss = self.task.loss(logits, target)
        total = loss if auxiliary is None else loss + self.auxiliary_weight * self.task.loss(auxiliary, target)
        values = {"train/loss": loss.detach(), "train/accuracy": self.task.accuracy(logits, target)}
        self.step_values.update(values)
        self.log_dict(values, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(target))
        return total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.test_step(batch, batch_idx)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        x, target = batch
        logits = self.network(x.contiguous(memory_format=self.memory_format))
        self.test_accuracy.update(logits, target)
        if self.test_top5 is not None:
            self.test_top5.update(logits, target)
        self.test_images.update(len(target))
        self.test_loss.update(self.task.loss(logits, target, training=False), weight=len(target))

    def on_validation_epoch_end(self) -> None:
        accuracy = float(self._log_test())
        self.validated_images = self.tested_images
        if self.trainer.sanity_checking:
            return
        if self.best is not None and self.best.images == UNKNOWN:
            self.best = self.best._replace(images=self.tested_images)
        # accuracies on different images, such as before and after a resume with another limit, are not compared
        if self.best is None or self.best.images != self.tested_images or accuracy > self.best.accuracy:
            self.best = Best(accuracy, self.current_epoch + 1, self.tested_images)

    def on_test_epoch_end(self) -> None:
        self._log_test()

    def _log_test(self) -> Tensor:
        """Log and reset the test metrics, and return the accuracy in percent."""
        metrics = {"test/accuracy": 100 * self.test_accuracy.compute(), "test/loss": self.test_loss.compute()}
        self.tested_images = int(self.test_images.compute())
        for metric in (self.test_accuracy, self.test_loss, self.test_images):
            metric.reset()
        if self.test_top5 is not None:
            metrics["test/top5_accuracy"] = 100 * self.test_top5.compute()
            self.test_top5.reset()
        self.log_dict(metrics)
        return metrics["test/accuracy"]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["best"] = None if self.best is None else list(self.best)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        best = checkpoint.get("best")
        # 0.1.0 stored no number of images: the next validation sets it
        self.best = None if best is None else Best(best[0], best[1], best[2] if len(best) > 2 else UNKNOWN)

    def on_train_start(self) -> None:
        scheduler = self.lr_schedulers()
        if (
            isinstance(scheduler, LRDecay)
            and scheduler.warmup_epochs >= scheduler.T_max
            and self.trainer.is_global_zero
        ):
            log.info(
                "warm-up        %d epochs: the learning rate rises in all %d epochs of the run and never decays",
                *(scheduler.warmup_epochs, scheduler.T_max),
            )
        self._set_drop_path()  # a run resumed within an epoch does not call on_train_epoch_start
        super().on_train_start()
