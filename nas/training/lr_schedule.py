"""Learning-rate decay for training from scratch, in closed form and with warm-up."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, COUNT_OR_ZERO, FRACTION, NOT_NEGATIVE, check_ranges

Schedule = Literal["cosine", "linear", "exponential"]
Interval = Literal["epoch", "step", "warmup"]
LENGTHS = ("warmup_epochs", "slow_tail_epochs", "final_epochs_at_min")
OPTIONS = ("T_max", "schedule", "eta_min", "gamma", "interval", "warmup_start_lr", *LENGTHS)
"""Options that a resumed run takes from its own configuration, not from the checkpoint."""


@check_ranges(
    T_max=COUNT,
    warmup_epochs=COUNT_OR_ZERO,
    eta_min=NOT_NEGATIVE,
    slow_tail_epochs=COUNT_OR_ZERO,
    gamma=FRACTION,
    warmup_start_lr=NOT_NEGATIVE,
    final_epochs_at_min=COUNT_OR_ZERO,
)
class LRDecay(LRScheduler):
    """Cosine, linear or exponential decay over ``T_max`` epochs, with an optional warm-up.

    The learning rate depends only on the number of the epoch. A warm-up therefore leaves no trace in later epochs,
    unlike chained schedulers, which stay above their curve when a script overwrites the rate during the warm-up.
    If the rate changes within epochs, ``set_steps_per_epoch`` sets their length and ``step`` is called after each step.
    A resumed run with another ``T_max`` or another number of steps per epoch follows its new curve.

    Args:
        optimizer: its learning rates are the initial rates of the schedule.
        T_max: epochs of the run.
        schedule: ``cosine`` decays to ``eta_min``. ``linear`` decays to 0 in two slopes, the second one over the last
            ``slow_tail_epochs`` (P-DARTS, PC-DARTS and DrNAS on ImageNet); a run of at most that many epochs has one
            slope. ``exponential`` multiplies the rate by ``gamma`` per epoch (DARTS on ImageNet).
        warmup_epochs: epochs of the warm-up. Without ``warmup_start_lr``, epoch e has (e + 1) / ``warmup_epochs`` of
            the initial rate.
        eta_min: final rate of the cosine.
        slow_tail_epochs: epochs of the second slope of ``linear``.
        gamma: factor per epoch of ``exponential``.
        interval: the rate changes after each ``epoch``, after each ``step``, or after each step of the warm-up and
            then after each epoch (``warmup``).
        warmup_start_lr: first rate of a linear warm-up to the initial rate. The schedule then begins after the warm-up
            and takes the remaining epochs. None: the schedule counts from epoch 0.
        final_epochs_at_min: number of last epochs at ``eta_min``, after the schedule is cut off (AutoDL-Projects).

    Raises:
        NasError: if a number of epochs is out of range, an option is unknown, a warm-up by steps has no
            ``warmup_start_lr``, or all epochs are at ``eta_min``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,  # noqa: N803, as in torch, so that the class can replace CosineAnnealingLR
        schedule: Schedule = "cosine",
        warmup_epochs: int = 0,
        eta_min: float = 0.0,
        slow_tail_epochs: int = 5,
        gamma: float = 0.97,
        interval: Interval = "epoch",
        warmup_start_lr: float | None = None,
        final_epochs_at_min: int = 0,
    ) -> None:
        self.T_max, self.schedule, self.warmup_epochs = T_max, schedule, warmup_epochs
        self.eta_min, self.slow_tail_epochs, self.gamma = eta_min, slow_tail_epochs, gamma
        self.interval, self.warmup_start_lr = interval, warmup_start_lr
        self.final_epochs_at_min = final_epochs_at_min
        self._check_options()
        self.steps_per_epoch = 1  # calls of ``step`` per epoch
        super().__init__(optimizer)

    def _check_options(self) -> None:
        for name, choices in (("schedule", get_args(Schedule)), ("interval", get_args(Interval))):
            if getattr(self, name) not in choices:
                raise NasError(f"scheduler.{name}={getattr(self, name)}: unknown. Choose from {', '.join(choices)}.")
        if self.interval != "epoch" and self.warmup_epochs and self.warmup_start_lr is None:
            raise NasError(
                f"scheduler.interval={self.interval}: a warm-up by steps needs its first learning rate. "
                "Set scheduler.warmup_start_lr=0.0."
            )
        if self.final_epochs_at_min >= self.T_max and not self.warmup_epochs:
            raise NasError(
                f"scheduler.final_epochs_at_min={self.final_epochs_at_min}: all {self.T_max} epochs would have the "
                f"learning rate eta_min={self.eta_min}. Set it below T_max."
            )

    def set_steps_per_epoch(self, steps: int) -> None:
        """Declare that ``step`` is called ``steps`` times per epoch from now on."""
        self.steps_per_epoch = steps

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the position in the schedule; the options and the steps per epoch stay those of this instance."""
        saved_steps = state_dict.get("steps_per_epoch", state_dict.get("steps", 1))  # "steps" in version 0.1.0
        position = vars(self).keys() - {*OPTIONS, "steps_per_epoch"}
        super().load_state_dict({name: value for name, value in state_dict.items() if name in position})
        self.last_epoch = round(self.last_epoch * self.steps_per_epoch / saved_steps)

    def get_lr(self) -> list[float | Tensor]:
        """Return the current learning rate of each parameter group."""
        return [self.rate(float(base), self.last_epoch / self.steps_per_epoch) for base in self.base_lrs]

    def rate(self, base: float, epoch: float) -> float:
        """Return the learning rate at ``epoch`` for the initial rate ``base``.

        Args:
            base: learning rate of the optimizer.
            epoch: number of epochs passed since the start of the run, including the fraction of the current one.
        """
        if self.interval == "epoch" or (self.interval == "warmup" and epoch >= self.warmup_epochs):
            epoch = math.floor(epoch)
        if epoch < self.warmup_epochs:
            if self.warmup_start_lr is None:
                return base * (epoch + 1) / self.warmup_epochs
            return self.warmup_start_lr + (base - self.warmup_start_lr) * epoch / self.warmup_epochs
        if self.final_epochs_at_min and epoch >= self.T_max - self.final_epochs_at_min:
            return self.eta_min
        first = 0 if self.warmup_start_lr is None else self.warmup_epochs
        return self._decayed(base, epoch - first, max(self.T_max - first, 1))

    def _decayed(self, base: float, epoch: float, epochs: int) -> float:
        if self.schedule == "exponential":
            return base * self.gamma**epoch
        remaining = max(epochs - epoch, 0)
        if self.schedule == "cosine":
            return self.eta_min + (base - self.eta_min) * (1 - math.cos(math.pi * remaining / epochs)) / 2
        tail = self.slow_tail_epochs
        fast = epochs - tail
        if fast <= 0 or not tail:
            return base * remaining / epochs
        return base * (remaining - tail) / fast if remaining > tail else base * remaining / (fast * tail)
