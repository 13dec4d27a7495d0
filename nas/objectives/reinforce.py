"""REINFORCE objective for relaxations without a pathwise gradient."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.architecture.masks import Masks
from nas.gradients.base import Reduce
from nas.utils.errors import NasError
from nas.utils.ranges import DROP_PROBABILITY, check_ranges


@runtime_checkable
class HasLogProb(Protocol):
    """A relaxation that computes the log-probability of its samples."""

    def log_prob(self, arch: Architecture, masks: Masks) -> Tensor:
        """Return the log-probability of an architecture, a scalar that is differentiable in alpha."""
        ...


def require_log_prob(relaxation: nn.Module) -> HasLogProb:
    """Return the relaxation itself. Raises NasError if it has no ``log_prob``."""
    if not isinstance(relaxation, HasLogProb):
        raise NasError(
            f"method.arch_step.reward: relaxation {type(relaxation).__name__} has no log_prob(), which REINFORCE "
            "needs. Use method.relaxation._target_=nas.relaxations.block_gumbel.BlockCategorical, or reward=null."
        )
    return relaxation


@check_ranges(momentum=DROP_PROBABILITY)
class ReinforceObjective(nn.Module):
    """REINFORCE (Williams, 1992) on the accuracy of the batch, as in the TuNAS searches of AutoDL-Projects.

    The gradient is that of -(accuracy - baseline) * log p, with one sample per step. The accuracy is in percent,
    averaged over all ranks. The baseline is a bias-corrected exponential moving average of the accuracies, which
    includes the current accuracy before it is subtracted. The baseline is part of the state_dict.

    Args:
        momentum: decay of the moving average, from 0 to below 1.

    Raises:
        NasError: if ``momentum`` is outside its range.
    """

    total: Tensor
    weight: Tensor

    def __init__(self, momentum: float = 0.95) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("total", torch.zeros(()))
        self.register_buffer("weight", torch.zeros(()))

    def advantage(self, accuracy: Tensor) -> Tensor:
        """Update the baseline with ``accuracy`` and return the difference between the two."""
        with torch.no_grad():
            self.total.lerp_(accuracy.detach().to(self.total), 1 - self.momentum)
            self.weight.lerp_(torch.ones_like(self.weight), 1 - self.momentum)
            return accuracy.detach() - self.total / self.weight

    def forward(
        self, relaxation: nn.Module, masks: Masks, arch: Architecture, loss: Tensor, accuracy: Tensor, reduce: Reduce
    ) -> Tensor:
        """Return a scalar with the value of ``loss`` and the gradient of REINFORCE.

        Args:
            relaxation: the relaxation that ``arch`` was sampled from.
            masks: the masks it was sampled under.
            arch: the sampled architecture.
            loss: loss of the batch, a scalar.
            accuracy: accuracy of the batch in percent, a scalar.
            reduce: averages tensors over ranks.

        Raises:
            NasError: if the relaxation has no ``log_prob``.
        """
        surrogate = -self.advantage(reduce([accuracy])[0]) * require_log_prob(relaxation).log_prob(arch, masks)
        return loss.detach() + (surrogate - surrogate.detach())
