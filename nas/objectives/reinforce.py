"""What an architecture step learns from where a draw cannot be differentiated: its reward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.architecture.masks import Masks
from nas.utils.errors import NasError

Reduce = Callable[[list[Tensor]], list[Tensor]]


@runtime_checkable
class Scored(Protocol):
    """A relaxation that knows how probable what it drew was."""

    def log_p(self, arch: Architecture, masks: Masks) -> Tensor:
        """The log-probability of an architecture, a scalar that is differentiable in alpha."""


def scored(relaxation: nn.Module) -> Scored:
    """That relaxation. Raises NasError where it does not know how probable its draws are."""
    if not isinstance(relaxation, Scored):
        raise NasError(
            f"method.reward: {type(relaxation).__name__} does not tell how probable what it draws is; use "
            "relaxation._target_=nas.relaxations.block_gumbel.BlockCategorical, or reward=null"
        )
    return relaxation


class Reinforce(nn.Module):
    """REINFORCE (Williams, 1992) on the accuracy of the batch, as TuNAS' searches in AutoDL-Projects have it.

    The gradient is that of - (accuracy - baseline) * log p, one draw a step, the accuracy in percent and the mean
    over all ranks. The baseline is the exponential moving average of the accuracies with this ``momentum``, its bias
    corrected, and has taken the accuracy in before it is subtracted. It is part of the state_dict.
    """

    total: Tensor
    weight: Tensor

    def __init__(self, momentum: float = 0.95) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise NasError(f"reward.momentum={momentum}: give a number from 0 to below 1")
        self.momentum = momentum
        self.register_buffer("total", torch.zeros(()))
        self.register_buffer("weight", torch.zeros(()))

    def advantage(self, accuracy: Tensor) -> Tensor:
        """How much better an accuracy is than the baseline, which takes it in first."""
        with torch.no_grad():
            self.total.lerp_(accuracy.detach().to(self.total), 1 - self.momentum)
            self.weight.lerp_(torch.ones_like(self.weight), 1 - self.momentum)
            return accuracy.detach() - self.total / self.weight

    def forward(
        self, relaxation: nn.Module, masks: Masks, arch: Architecture, loss: Tensor, accuracy: Tensor, reduce: Reduce
    ) -> Tensor:
        """The value of the task's ``loss`` with REINFORCE's gradient. Raises NasError for draws without probability."""
        surrogate = -self.advantage(reduce([accuracy])[0]) * scored(relaxation).log_p(arch, masks)
        return loss.detach() + (surrogate - surrogate.detach())
