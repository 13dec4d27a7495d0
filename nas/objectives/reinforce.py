"""REINFORCE objective for relaxations without a pathwise gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.architecture.masks import Masks
from nas.gradients.base import Reduce
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, DROP_PROBABILITY, check_ranges


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


@check_ranges(momentum=DROP_PROBABILITY, samples=COUNT)
class ReinforceObjective(nn.Module):
    """REINFORCE (Williams, 1992) on the accuracy of the batch, as in the TuNAS searches of AutoDL-Projects.

    The gradient is that of -(accuracy - baseline) * log p, in the mean over the samples of a step. The accuracy is in
    percent, averaged over all ranks. The baseline is a bias-corrected exponential moving average of the mean accuracies
    of steps, which includes the current one before it is subtracted. The baseline is part of the state_dict.

    Args:
        momentum: decay of the moving average, from 0 to below 1.
        samples: number of architectures per step; 10 in ProxylessNAS.

    Raises:
        NasError: if an option is outside its range.
    """

    total: Tensor
    weight: Tensor

    def __init__(self, momentum: float = 0.95, samples: int = 1) -> None:
        super().__init__()
        self.momentum = momentum
        self.samples = samples
        self.register_buffer("total", torch.zeros(()))
        self.register_buffer("weight", torch.zeros(()))

    def advantage(self, accuracy: Tensor) -> Tensor:
        """Update the baseline with the mean of ``accuracy``, [samples] or a scalar, and return the differences."""
        with torch.no_grad():
            self.total.lerp_(accuracy.detach().mean().to(self.total), 1 - self.momentum)
            self.weight.lerp_(torch.ones_like(self.weight), 1 - self.momentum)
            return accuracy.detach() - self.total / self.weight

    def forward(
        self,
        relaxation: nn.Module,
        masks: Masks,
        archs: Sequence[Architecture],
        loss: Tensor,
        accuracies: Tensor,
        reduce: Reduce,
    ) -> Tensor:
        """Return a scalar with the value of ``loss`` and the gradient of REINFORCE.

        Args:
            relaxation: the relaxation that ``archs`` were sampled from.
            masks: the masks they were sampled under.
            archs: the sampled architectures.
            loss: loss of the batch, a scalar.
            accuracies: accuracy of the batch under each architecture in percent, [samples].
            reduce: averages tensors over ranks.

        Raises:
            NasError: if the relaxation has no ``log_prob``.
        """
        log_prob = require_log_prob(relaxation).log_prob
        log_probs = torch.stack([log_prob(arch, masks) for arch in archs])
        surrogate = -(self.advantage(reduce([accuracies])[0]) * log_probs).mean()
        return loss.detach() + (surrogate - surrogate.detach())
