"""Gumbel-softmax relaxation (SNAS, GDAS): samples of the concrete distribution."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import Cell
from nas.relaxations.edgewise import EdgewiseRelaxation, RelaxedEdges
from nas.utils.ranges import POSITIVE, check_ranges


@check_ranges(tau=POSITIVE)
class Gumbel(EdgewiseRelaxation):
    """A sample of the concrete distribution at temperature ``tau``.

    Soft: the weights are softmax((log softmax(alpha) + g) / tau) with Gumbel noise g, as in SNAS (Xie et al.,
    ICLR 2019). Hard: one op per edge with a straight-through gradient, as in GDAS (Dong and Yang, CVPR 2019). The
    weights are then one-hot, and their gradient is that of the soft weights.

    The authors sample again if a Gumbel variable overflows. Here the underlying exponential variable is at least the
    smallest normal number, which needs no device synchronization.

    Args:
        cells: the search space.
        hard: execute one op per edge.
        tau: temperature.
        init_std: standard deviation of the initial alpha.
        init_mean: mean of the initial alpha.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
        hard: bool = True,
        tau: float = 10.0,
        init_std: float = 1e-3,
        init_mean: float = 0.0,
    ) -> None:
        super().__init__(cells, init_std, init_mean)
        self.hard = hard
        self.tau = tau

    def noise(self, like: Tensor) -> Tensor:
        """Sample standard Gumbel variables with the shape, dtype and device of ``like``."""
        return gumbel_noise(like, self.generator(like.device))

    def relax(self, alpha: Tensor, mask: Tensor) -> RelaxedEdges:
        logits = perturbed_logits(alpha, mask, self.noise(alpha.detach()), self.tau)
        probabilities = logits.softmax(dim=-1) * mask
        if not self.hard:
            return RelaxedEdges(probabilities)
        chosen = probabilities.detach().argmax(dim=-1)
        one_hot = F.one_hot(chosen, alpha.shape[-1]).to(alpha.dtype) * mask
        return RelaxedEdges(one_hot - probabilities.detach() + probabilities, chosen)


def gumbel_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Sample standard Gumbel variables with the shape, dtype and device of ``like``."""
    exponential = torch.empty_like(like).exponential_(generator=generator)
    return -exponential.clamp_min(torch.finfo(like.dtype).tiny).log()


def perturbed_logits(alpha: Tensor, mask: Tensor, noise: Tensor, tau: float) -> Tensor:
    """Return (log softmax(alpha) + noise) / tau over the entries where ``mask`` is True, [edges, ops].

    Masked entries are the most negative finite number, so that their softmax is 0 without NaN in fully masked rows.
    """
    least = torch.finfo(alpha.dtype).min
    logits = (alpha.masked_fill(~mask, least).log_softmax(dim=-1) + noise) / tau
    return logits.masked_fill(~mask, least)
