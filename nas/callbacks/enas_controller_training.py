"""Training of the ENAS controller with REINFORCE."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from nas.architecture.cell import Architecture
from nas.callbacks.interruptible import interruptible
from nas.gradients.base import Batch
from nas.relaxations.enas_controller import Controller
from nas.searches.compatibility import check_reward
from nas.searches.gradient import GradientSearch
from nas.searches.within_limits import penalty_of_path
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, DROP_PROBABILITY, NOT_NEGATIVE, POSITIVE, check_ranges


@check_ranges(
    steps=COUNT, samples=COUNT, entropy_weight=NOT_NEGATIVE, baseline_decay=DROP_PROBABILITY, clip_norm=POSITIVE
)
class ControllerTraining(pl.Callback):
    """Train the controller after each epoch of the weights (Pham et al., ICML 2018; AutoDL-Projects).

    The reward of a path is its accuracy, in 0..1, on the next augmented batch of the validation part, plus
    ``entropy_weight`` times the entropy of its decisions, which is not detached. The baseline starts an epoch at its
    last value, and moves toward each reward by 1 - ``baseline_decay``. In the first epoch it equals the accuracy.
    The search must have ``arch_step.per_batch=false``; its architecture optimizer takes the steps.

    Args:
        steps: updates of the controller per epoch.
        samples: paths per update, whose losses are averaged.
        entropy_weight: weight of the entropy in the reward.
        baseline_decay: share of the old baseline that each reward keeps.
        clip_norm: largest norm of the controller's gradient.

    Raises:
        NasError: if the data has no validation part.
    """

    def __init__(
        self,
        steps: int = 50,
        samples: int = 20,
        entropy_weight: float = 1e-4,
        baseline_decay: float = 0.99,
        clip_norm: float = 5.0,
    ) -> None:
        self.steps = steps
        self.samples = samples
        self.entropy_weight = entropy_weight
        self.baseline_decay = baseline_decay
        self.clip_norm = clip_norm
        self.baseline: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"baseline": self.baseline}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.baseline = state_dict["baseline"]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if not getattr(datamodule, "bilevel", True):
            raise NasError("dataset.bilevel=false: the controller needs validation images. Set dataset.bilevel=true.")
        if isinstance(pl_module, GradientSearch):
            check_reward(pl_module.task, f"method={pl_module.name}", "method=darts, gdas or drnas")

    def surrogate(self, log_p: Tensor, entropy: Tensor, accuracy: Tensor) -> tuple[Tensor, Tensor]:
        """Return the REINFORCE loss of one path and the updated baseline, both scalars."""
        reward = accuracy + self.entropy_weight * entropy
        start = self.baseline
        baseline = accuracy if start is None else start - (1 - self.baseline_decay) * (start - reward)
        return -log_p * (reward - baseline), baseline.detach()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch or not isinstance(pl_module, GradientSearch):
            return
        batches = interruptible(trainer, _augmented_batches(trainer, pl_module.device))
        paths: list[Architecture] = []
        seen: list[tuple[Tensor, Tensor]] = []
        baseline = torch.zeros(())
        for _ in range(self.steps):
            losses = []
            for _ in range(self.samples):
                loss, baseline = self._path_loss(trainer, pl_module, next(batches), paths, seen)
                losses.append(loss)
            self._update(pl_module, torch.stack(losses).mean())
        self.baseline = float(baseline)
        _controller(pl_module).update_alpha(paths)
        means = [torch.stack(values).mean() for values in zip(*seen, strict=True)]
        values = dict(zip(("arch/loss", "arch/accuracy"), means, strict=True))
        pl_module.log_dict(values, on_step=False, on_epoch=True, sync_dist=True, batch_size=1)

    def _path_loss(
        self,
        trainer: pl.Trainer,
        search: GradientSearch,
        batch: Batch,
        paths: list[Architecture],
        seen: list[tuple[Tensor, Tensor]],
    ) -> tuple[Tensor, Tensor]:
        path = _controller(search).sample_path(search.masks)
        loss, accuracy = search.evaluate(batch, path.arch)
        search.observe("arch", loss, batch, path.arch)
        paths.append(path.arch)
        seen.append((loss, accuracy))
        # averaged over ranks, so that all ranks take the same step
        reward = trainer.strategy.reduce(accuracy.clone(), reduce_op="mean") / 100
        reward = reward - penalty_of_path(search, path.arch)
        return self.surrogate(path.log_prob, path.entropy, reward)

    def _update(self, search: GradientSearch, loss: Tensor) -> None:
        parameters = [p for p in search.relaxation.parameters() if p.requires_grad]
        for parameter, grad in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = grad
        clip_grad_norm_(parameters, self.clip_norm)
        # bypasses Lightning's wrapper, so that trainer.global_step counts bilevel steps only
        search.wrapped_optimizers()[1].optimizer.step()


def _controller(search: GradientSearch) -> Controller:
    assert isinstance(search.relaxation, Controller)
    return search.relaxation


def _augmented_batches(trainer: pl.Trainer, device: torch.device) -> Iterator[Batch]:
    """Yield augmented batches of the validation part without end, the same ones whenever an epoch is repeated."""
    loader = trainer.datamodule.train_dataloader().iterables["val"]  # type: ignore[attr-defined]
    loader.set_epoch(trainer.current_epoch)
    while True:
        for x, target in loader:
            yield x.to(device), target.to(device)
