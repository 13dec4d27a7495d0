"""Learning rates of trainings from scratch, in closed form."""

from __future__ import annotations

import math
from typing import Any, Literal

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nas.utils.errors import NasError

Law = Literal["cosine", "linear", "exponential"]
By = Literal["epoch", "step", "warmup"]
OWN = ("T_max", "law", "warmup", "eta_min", "tail", "gamma", "by", "start", "rest")
"""The options that the schedule of a run that goes on has from its own configuration, not from the checkpoint."""


class Decay(LRScheduler):
    """The rate of epoch e of ``T_max``, from the optimizer's rate on, after ``warmup`` epochs below it.

    The rate of an epoch depends on nothing but its number, so that a warm-up leaves no trace in later epochs: chained
    schedules, whose rates the published ImageNet scripts overwrite, stay above their curve for the rest of the run.
    Where rates change within an epoch, ``count_steps`` says how many steps it has, and ``step`` is called after each.

    Args:
        optimizer: its rates are those that the laws begin with.
        T_max: epochs of the run.
        law: ``cosine``: a half wave down to ``eta_min``. ``linear``: down to 0 in two slopes, the last ``tail`` epochs
            being slower (P-DARTS, PC-DARTS, DrNAS on ImageNet); one slope where the run is not longer than that.
            ``exponential``: times ``gamma`` an epoch (DARTS on ImageNet).
        warmup: in epoch e before this one the rate is (e + 1) / warmup of the optimizer's.
        eta_min: the end of the cosine.
        tail: epochs of the second slope.
        gamma: factor an epoch.
        by: when the rate changes: after each ``epoch``, after each ``step``, or after each step of the ``warmup`` and
            after each epoch then.
        start: the rate with which the warm-up begins; it rises in a straight line up to the optimizer's, and the law
            begins behind it, with the epochs that are left. None: as under ``warmup``, the law running from epoch 0.
        rest: the last so many epochs are at ``eta_min``, the law ending where it is then (AutoDL-Projects).

    A run that goes on from a checkpoint with more epochs, or with another number of steps an epoch (other batches, more
    ranks), follows its new curve from the epoch on that was reached.

    Raises:
        NasError: if a number of epochs is below 1, or another one below 0, a warm-up by steps has no ``start``, or no
            epoch is left that is not at ``eta_min``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,  # noqa: N803, torch's name, so that it takes the place of CosineAnnealingLR
        law: Law = "cosine",
        warmup: int = 0,
        eta_min: float = 0.0,
        tail: int = 5,
        gamma: float = 0.97,
        by: By = "epoch",
        start: float | None = None,
        rest: int = 0,
    ) -> None:
        if T_max < 1 or min(warmup, tail, rest) < 0:
            raise NasError(
                f"scheduler: T_max={T_max}, warmup={warmup}, tail={tail}, rest={rest}: give epochs, T_max at least 1, "
                "the others 0"
            )
        if law not in ("cosine", "linear", "exponential"):
            raise NasError(f"scheduler: unknown law '{law}': choose from cosine, exponential, linear")
        if by not in ("epoch", "step", "warmup"):
            raise NasError(f"scheduler: unknown by '{by}': choose from epoch, step, warmup")
        if by != "epoch" and warmup and start is None:
            raise NasError(
                f"scheduler: by={by} with warmup={warmup} rises step by step: say from which rate, start=0.0"
            )
        if rest >= T_max and not warmup:
            raise NasError(
                f"scheduler: rest={rest} of T_max={T_max} epochs leaves none that is not at eta_min={eta_min}"
            )
        self.T_max, self.law, self.warmup = T_max, law, warmup
        self.eta_min, self.tail, self.gamma = eta_min, tail, gamma
        self.by, self.start, self.rest = by, start, rest
        self.steps = 1  # of an epoch, as far as they change the rate
        super().__init__(optimizer)

    def count_steps(self, steps: int) -> None:
        """From now on ``step`` is called after each of the ``steps`` of an epoch."""
        self.steps = steps

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Where the schedule stands; see above for what is its own."""
        steps, before = self.steps, state_dict.get("steps", 1)
        super().load_state_dict({**state_dict, **{name: getattr(self, name) for name in OWN}, "steps": steps})
        self.last_epoch = round(self.last_epoch * steps / before)

    def get_lr(self) -> list[float | Tensor]:
        """The rates of the present epoch, or step."""
        return [self.rate(float(base), self.last_epoch / self.steps) for base in self.base_lrs]

    def rate(self, base: float, epoch: float) -> float:
        """The rate at ``epoch``, counted from 0 and with its share that is over, where ``base`` is the optimizer's."""
        if self.by == "epoch" or (self.by == "warmup" and epoch >= self.warmup):
            epoch = math.floor(epoch)
        if epoch < self.warmup:
            if self.start is None:
                return base * (epoch + 1) / self.warmup
            return self.start + (base - self.start) * epoch / self.warmup
        if self.rest and epoch >= self.T_max - self.rest:
            return self.eta_min
        before = 0 if self.start is None else self.warmup
        return self._law(base, epoch - before, max(self.T_max - before, 1))

    def _law(self, base: float, epoch: float, epochs: int) -> float:
        if self.law == "exponential":
            return base * self.gamma**epoch
        left = max(epochs - epoch, 0)
        if self.law == "cosine":
            return self.eta_min + (base - self.eta_min) * (1 - math.cos(math.pi * left / epochs)) / 2
        first = epochs - self.tail
        if first <= 0 or not self.tail:
            return base * left / epochs
        return base * (left - self.tail) / first if left > self.tail else base * left / (first * self.tail)
