"""RobustDARTS: early stopping or stronger weight decay when the Hessian eigenvalue of alpha grows."""

from __future__ import annotations

import logging
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from nas.callbacks.recording.history import History
from nas.callbacks.selection.snapshots import Snapshot, restore, snapshot
from nas.gradients.base import Batch
from nas.gradients.hessian import SharpnessRule, hessian, largest_eigenvalue
from nas.searches.gradient import GradientSearch
from nas.spaces.notation import native_string
from nas.utils.distributed import mean_over_ranks
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, COUNT_OR_ZERO, NOT_NEGATIVE, POSITIVE, Range, check_ranges

log = logging.getLogger(__name__)
Action = Literal["watch", "stop", "regularize"]


@check_ranges(
    every=COUNT,
    window=COUNT,
    factor=POSITIVE,
    delta=COUNT,
    first=COUNT_OR_ZERO,
    multiply=Range(1, above=True),
    limit=NOT_NEGATIVE,
)
class HessianEigenvalue(pl.Callback):
    """Log the largest eigenvalue of the Hessian of the validation loss in alpha (Zela et al., ICLR 2020).

    The metric is ``eigenvalue``. It is measured after the last step of an epoch, on the validation batch of that step,
    with the supernet in training mode. The Hessian covers all alphas jointly, with their weight decay on the diagonal.
    ``nas.gradients.hessian.SharpnessRule`` decides when it has grown too much. The last epoch is only measured.

    Args:
        action: "stop" ends the search with the genotype before the growth (DARTS-ES). "regularize" returns to that
            epoch with a larger weight decay (DARTS-ADA). "watch" only logs.
        every: epochs between two measurements.
        window: measurements in the moving average.
        factor: growth of the average that counts as too much.
        delta: measurements between the two averages that are compared.
        first: first epoch with a decision.
        multiply: factor of the weight decay for "regularize".
        limit: largest weight decay for "regularize".

    Raises:
        NasError: if an option is out of range, or the search trains no alphas by a loss.
    """

    def __init__(
        self,
        action: Action = "stop",
        every: int = 2,
        window: int = 5,
        factor: float = 1.3,
        delta: int = 4,
        first: int = 10,
        multiply: float = 10.0,
        limit: float = 0.03,
    ) -> None:
        if window % 2 == 0:
            raise NasError(f"HessianEigenvalue: window={window}: use an odd number, so that the average is centered.")
        self.action = action
        self.every = every
        self.rule = SharpnessRule(window, factor, delta, first)
        self.multiply = multiply
        self.limit = limit
        self.epochs: list[int] = []
        self.values: list[float] = []
        self.genotypes: list[str] = []
        self.snapshots: dict[int, Snapshot] = {}
        self.back_to: int | None = None

    def state_dict(self) -> dict[str, Any]:
        names = ("epochs", "values", "genotypes", "snapshots")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not isinstance(pl_module, GradientSearch) or len(trainer.optimizers) < 2:
            raise NasError(
                "HessianEigenvalue: the search trains no alphas. Use a search with method.arch_step.optimizer, or "
                "leave the callback out."
            )
        if pl_module.reward is not None:
            raise NasError("HessianEigenvalue: a reward that trains alphas has no Hessian. Remove the callback.")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if not trainer.is_last_batch or not (trainer.current_epoch % self.every == 0 or last):
            return
        assert isinstance(pl_module, GradientSearch)
        self.epochs.append(trainer.current_epoch)
        self.values.append(self.measure(trainer, pl_module, batch["val"]))
        self.genotypes.append(native_string(pl_module.genotype()))
        pl_module.log("eigenvalue", self.values[-1], on_step=False, on_epoch=True, batch_size=1)
        entry = None if last else self.rule.stop_index(self.epochs, self.values)
        if entry is not None and self.action == "stop":
            log.info("the Hessian eigenvalue has grown: stopping with the genotype of epoch %d", self.epochs[entry])
            pl_module.selected = pl_module.space.parse(self.genotypes[entry])
            trainer.should_stop = True
        elif entry is not None and self.action == "regularize":
            self.back_to = self.epochs[entry] if self._remaining_increases(trainer) else None

    def measure(self, trainer: pl.Trainer, search: GradientSearch, batch: Batch) -> float:
        """Return the largest eigenvalue of the Hessian on one batch, averaged over ranks. The supernet is unchanged."""
        alphas = list(search.relaxation.alpha.values())
        masks = torch.cat([search.masks.table(name).flatten() for name in search.relaxation.alpha])
        with torch.autocast(search.device.type, enabled=False):
            matrix = hessian(lambda: search.loss(batch, search.weights), alphas, masks.nonzero().flatten())
        (mean,) = mean_over_ranks([matrix])
        decay = float(trainer.optimizers[1].param_groups[0].get("weight_decay", 0.0))
        return float(largest_eigenvalue(mean, decay))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.action != "regularize" or not isinstance(pl_module, GradientSearch):
            return
        if self.back_to is not None:
            self._return_to(trainer, pl_module, self.back_to)
        elif self.epochs and self.epochs[-1] == trainer.current_epoch >= self.rule.first:
            self.snapshots[trainer.current_epoch] = snapshot(trainer, pl_module)
            # later decisions look back this far, and again after each return to an earlier epoch
            reach = (self.rule.delta + self.rule.window // 2) * self._remaining_increases(trainer)
            self.snapshots = {e: s for e, s in self.snapshots.items() if e in self.epochs[len(self.epochs) - reach :]}

    def _remaining_increases(self, trainer: pl.Trainer) -> int:
        """Return how many more times the weight decay can grow below the limit."""
        decay, times = max(group["weight_decay"] for group in trainer.optimizers[0].param_groups), 0
        while 0 < decay * self.multiply <= self.limit * (1 + 1e-9):
            decay, times = decay * self.multiply, times + 1
        return times

    def _return_to(self, trainer: pl.Trainer, search: GradientSearch, epoch: int) -> None:
        decays = [group["weight_decay"] * self.multiply for group in trainer.optimizers[0].param_groups]
        restore(trainer, search, self.snapshots[epoch], epoch)
        for group, decay in zip(trainer.optimizers[0].param_groups, decays, strict=True):
            group["weight_decay"] = decay
        kept = self.epochs.index(epoch) + 1
        self.epochs, self.values, self.genotypes = self.epochs[:kept], self.values[:kept], self.genotypes[:kept]
        self.snapshots = {e: s for e, s in self.snapshots.items() if e <= epoch}
        log.info("the Hessian eigenvalue has grown: returning to epoch %d with weight decay %g", epoch, max(decays))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.back_to is not None:
            self.back_to = None
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, History):
                    callback.on_train_start(trainer, pl_module)
