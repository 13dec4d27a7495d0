"""ENAS' controller, trained by the accuracy of what it writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from nas.architecture.cell import Architecture
from nas.relaxations.controller import Controller
from nas.searches.base import Batch
from nas.searches.gradient import GradientSearch
from nas.utils.errors import NasError


class Reinforce(pl.Callback):
    """Trains a controller after each epoch of the weights, by REINFORCE (Pham et al., ICML 2018; AutoDL-Projects).

    ``steps`` updates, each the mean over ``draws`` paths. The reward of a path is its accuracy, in 0..1, on the next
    augmented batch of the validation part, plus ``entropy`` times the entropy of its decisions, which is not
    detached. The baseline moves from where it was at the epoch's start towards each reward by 1 - ``decay``;
    the next epoch starts at the last. In the first epoch it is the accuracy itself. The search needs
    ``batch_arch_steps`` False, and its ``arch_optimizer`` takes the steps.
    """

    def __init__(
        self, steps: int = 50, draws: int = 20, entropy: float = 1e-4, decay: float = 0.99, clip_norm: float = 5.0
    ) -> None:
        self.steps = steps
        self.draws = draws
        self.entropy = entropy
        self.decay = decay
        self.clip_norm = clip_norm
        self.baseline: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"baseline": self.baseline}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.baseline = state_dict["baseline"]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if not getattr(datamodule, "bilevel", True):
            raise NasError("dataset.bilevel=false: a controller is rewarded for validation images; use bilevel=true")

    def surrogate(self, log_p: Tensor, entropy: Tensor, accuracy: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of one path, whose gradient is REINFORCE's, and the baseline that it was compared with."""
        reward = accuracy + self.entropy * entropy
        start = self.baseline
        baseline = accuracy if start is None else start - (1 - self.decay) * (start - reward)
        return -log_p * (reward - baseline), baseline.detach()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch or not isinstance(pl_module, GradientSearch):
            return
        batches = _augmented(trainer, pl_module.device)
        paths: list[Architecture] = []
        seen: list[tuple[Tensor, Tensor]] = []
        baseline = torch.zeros(())
        for _ in range(self.steps):
            losses = []
            for _ in range(self.draws):
                loss, baseline = self._try(trainer, pl_module, next(batches), paths, seen)
                losses.append(loss)
            self._update(pl_module, torch.stack(losses).mean())
        self.baseline = float(baseline)
        _controller(pl_module).remember(paths)
        means = [torch.stack(values).mean() for values in zip(*seen, strict=True)]
        values = dict(zip(("arch/loss", "arch/accuracy"), means, strict=True))
        pl_module.log_dict(values, on_step=False, on_epoch=True, sync_dist=True, batch_size=1)

    def _try(
        self,
        trainer: pl.Trainer,
        search: GradientSearch,
        batch: Batch,
        paths: list[Architecture],
        seen: list[tuple[Tensor, Tensor]],
    ) -> tuple[Tensor, Tensor]:
        written = _controller(search).write(search.masks)
        loss, accuracy = search.evaluate(batch, written.arch)
        search.observe("arch", loss, batch, written.arch)
        paths.append(written.arch)
        seen.append((loss, accuracy))
        # the mean over ranks: all then take the same step
        reward = trainer.strategy.reduce(accuracy.clone(), reduce_op="mean") / 100
        return self.surrogate(written.log_p, written.entropy, reward)

    def _update(self, search: GradientSearch, loss: Tensor) -> None:
        parameters = [p for p in search.relaxation.parameters() if p.requires_grad]
        for parameter, grad in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = grad
        clip_grad_norm_(parameters, self.clip_norm)
        optimizers: Any = search.optimizers()
        # stepped past Lightning's wrapper, as the architecture steps of other methods are
        optimizers[1].optimizer.step()


def _controller(search: GradientSearch) -> Controller:
    assert isinstance(search.relaxation, Controller)
    return search.relaxation


def _augmented(trainer: pl.Trainer, device: torch.device) -> Iterator[Batch]:
    """Batches of the validation part as in training, without end; the same in every run of an epoch."""
    loader = trainer.datamodule.train_dataloader().iterables["val"]  # type: ignore[attr-defined]
    loader.set_epoch(trainer.current_epoch)
    while True:
        for x, target in loader:
            yield x.to(device), target.to(device)
