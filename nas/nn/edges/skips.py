"""Edges that regularize the skip connection (NoisyDARTS, DARTS-)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from nas.nn.drop_path import drop_path
from nas.nn.edges.mixed import MixedEdge
from nas.nn.memory_format import random_like
from nas.nn.ops import OpOptions
from nas.utils.ranges import DROP_PROBABILITY, FINITE, NOT_NEGATIVE, check_ranges

SKIP = "skip_connect"

NoiseDistribution = Literal["gaussian", "uniform"]
NoiseMode = Literal["additive", "multiplicative"]


def skip_noise(
    x: Tensor, distribution: NoiseDistribution, mode: NoiseMode, scale: float, mean: float = 0.0, decay: float = 1.0
) -> Tensor:
    """Return ``x`` with new noise of the same shape. No gradient flows through the noise.

    Args:
        x: of any shape.
        distribution: "gaussian" noise has the standard deviation ``scale``, in mode "additive" multiplied by the
            standard deviation of all of ``x``. "uniform" noise has the variance ``scale`` for any ``x``.
        mode: whether the noise is added to ``x`` or multiplied with it.
        scale: of the noise.
        mean: of the noise.
        decay: factor of the noise, its mean included.
    """
    if distribution == "uniform":
        noise = mean + (1 - 2 * random_like(x, torch.rand_like)) * math.sqrt(3 * scale)
    else:
        deviation = scale * x.detach().std() if mode == "additive" else scale
        noise = mean + deviation * random_like(x, torch.randn_like)
    return x + decay * noise if mode == "additive" else x * (decay * noise)


@check_ranges(scale=NOT_NEGATIVE, mean=FINITE, drop_path_prob=DROP_PROBABILITY)
class NoisySkip(MixedEdge):
    """A mixed edge with a noisy skip connection in training: NoisyDARTS (Chu and Zhang, BMVC 2021).

    The skip is noisy both as an identity and, at stride 2, as a factorized reduction. ``decay`` is a factor of the
    noise that a callback changes from epoch to epoch. The noise comes from the device's default generator, whose state
    a checkpoint contains. It may differ between ranks.

    Args:
        ops, channels, stride, options: as for ``MixedEdge``.
        distribution, mode, scale, mean: of the noise (``skip_noise``).
        drop_path_prob: probability of drop path after the noise.
    """

    def __init__(
        self,
        ops: Sequence[str | None],
        channels: int,
        stride: int,
        options: OpOptions,
        distribution: NoiseDistribution = "gaussian",
        mode: NoiseMode = "additive",
        scale: float = 0.2,
        mean: float = 0.0,
        drop_path_prob: float = 0.3,
    ) -> None:
        super().__init__(ops, channels, stride, options)
        self.distribution: NoiseDistribution = distribution
        self.mode: NoiseMode = mode
        self.scale = scale
        self.mean = mean
        self.drop_path_prob = drop_path_prob
        self.decay = 1.0

    def op_output(self, name: str, x: Tensor) -> Tensor:
        out = super().op_output(name, x)
        if name != SKIP or not _trains(self):
            return out
        noisy = skip_noise(out, self.distribution, self.mode, self.scale, self.mean, self.decay)
        return drop_path(noisy, self.drop_path_prob)

    def is_plain(self, name: str) -> bool:
        return name != SKIP


@check_ranges(beta=FINITE)
class AuxiliarySkip(MixedEdge):
    """A mixed edge plus ``beta`` times an auxiliary skip connection in training: DARTS- (Chu et al., ICLR 2021).

    At stride 2 the auxiliary skip is a factorized reduction. It is not a candidate and occurs in no genotype. A layer
    of a chain that changes the shape has none.

    Args:
        ops, channels, stride, options: see ``MixedEdge``.
        beta: factor of the auxiliary skip, which a callback decreases from epoch to epoch.
        auxiliary: kind of the auxiliary skip at stride 1. "skip": the identity. "conv": a 1x1 convolution, initialized
            as the identity.
    """

    def __init__(
        self,
        ops: Sequence[str | None],
        channels: int,
        stride: int,
        options: OpOptions,
        beta: float = 1.0,
        auxiliary: Literal["skip", "conv"] = "skip",
    ) -> None:
        super().__init__(ops, channels, stride, options)
        if auxiliary == "conv" and stride == 1 and options.can_skip(stride):
            conv = nn.Conv2d(channels, channels, 1, bias=False)
            nn.init.dirac_(conv.weight)
            self["auxiliary"] = conv
        elif options.can_skip(stride):
            self["auxiliary"] = options.build(SKIP, channels, stride)
        self.beta = beta

    def extra_output(self, x: Tensor) -> Tensor | None:
        if self.beta == 0 or not _trains(self) or "auxiliary" not in self:
            return None
        return self.beta * self["auxiliary"](x)


def _trains(edge: MixedEdge) -> bool:
    """Return whether the edge is trained. Genotypes are evaluated in training mode too, but without gradients."""
    return edge.training and torch.is_grad_enabled()
