"""Hard samples with the second-order gradient estimator ReinMax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import Cell
from nas.relaxations.base import masked_softmax
from nas.relaxations.edgewise import EdgewiseRelaxation, RelaxedEdges
from nas.relaxations.sample_categorical import sample_categorical
from nas.utils.ranges import Range, check_ranges

Execution = Literal["all", "sampled"]


@check_ranges(tau=Range(1))
class ReinMax(EdgewiseRelaxation):
    """One op per edge, sampled from softmax(alpha), with the gradient of ReinMax (Liu et al., NeurIPS 2023).

    The distribution of the samples is that of GDAS and DSNAS. The expected gradient is exact for functions of the
    weights up to the second order if ``tau`` is 1 and every op is executed. A skipped op has no output for its weight
    to be multiplied with, which biases the gradient.

    Args:
        cells: the search space.
        execute: "all" executes all ops of an edge, with weight 0 for those that are not sampled. "sampled" executes the
            sampled op alone, at the cost of a single network.
        tau: temperature of the gradient, at least 1; it does not change the samples.
        init_std: standard deviation of the initial alpha.
        init_mean: mean of the initial alpha.

    Raises:
        NasError: if ``tau`` is below 1 or ``execute`` is unknown.
    """

    hard = True

    def __init__(
        self,
        cells: Mapping[str, Cell],
        execute: Execution = "all",
        tau: float = 1.0,
        init_std: float = 1e-3,
        init_mean: float = 0.0,
    ) -> None:
        super().__init__(cells, init_std, init_mean)
        self.execute = execute
        self.tau = tau

    def relax(self, alpha: Tensor, mask: Tensor) -> RelaxedEdges:
        chosen = sample_categorical(masked_softmax(alpha.detach(), mask), self.generator(alpha.device)).squeeze(-1)
        one_hot = F.one_hot(chosen, alpha.shape[-1]).to(alpha.dtype) * mask
        return RelaxedEdges(reinmax(alpha, mask, one_hot, self.tau), chosen if self.execute == "sampled" else None)


def reinmax(alpha: Tensor, mask: Tensor, one_hot: Tensor, tau: float) -> Tensor:
    """Return ``one_hot`` with the gradient of ReinMax.

    With J(p) = diag(p) - p p^T and the upstream gradient G, d(alpha) is 2 J(p1) G - J(p0) G / 2. Here p0 is
    softmax(alpha), and p1 is the mean of softmax(alpha / tau) and the sample (equation 6 of the paper).

    Args:
        alpha: logits [..., n].
        mask: True where an op may be sampled [..., n].
        one_hot: the sample [..., n].
        tau: temperature, at least 1.
    """
    center = (masked_softmax(alpha.detach() / tau, mask) + one_hot) / 2
    # a softmax whose value is ``center`` and whose derivative is that of softmax(alpha + constant)
    logits = center.clamp_min(torch.finfo(alpha.dtype).tiny).log() + (alpha - alpha.detach())
    surrogate = 2 * masked_softmax(logits, mask) - masked_softmax(alpha, mask) / 2
    return one_hot + (surrogate - surrogate.detach())
