"""Edges that take the unfair advantage from the skip connection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from nas.nn.drop_path import drop_path
from nas.nn.edges.mixed import MixedEdge
from nas.nn.ops import OPS, OpOptions
from nas.utils.errors import NasError

SKIP = "skip_connect"

Law = Literal["gaussian", "uniform"]
Mixing = Literal["additive", "multiplicative"]


def skip_noise(x: Tensor, law: Law, mixing: Mixing, factor: float, mean: float = 0.0, decay: float = 1.0) -> Tensor:
    """``x`` with a fresh draw of noise, of the same shape; no gradient flows through the noise.

    Gaussian noise has the standard deviation ``factor``, times that of all of ``x`` where it is added. Uniform
    noise has the variance ``factor`` whatever ``x`` is. ``decay`` scales the noise, its ``mean`` included.
    """
    if law == "uniform":
        noise = mean + (1 - 2 * torch.rand_like(x)) * math.sqrt(3 * factor)
    else:
        deviation = factor * x.detach().std() if mixing == "additive" else factor
        noise = mean + deviation * torch.randn_like(x)
    return x + decay * noise if mixing == "additive" else x * (decay * noise)


class NoisySkip(MixedEdge):
    """A mixture whose skip connection is noisy while it trains: NoisyDARTS (Chu and Zhang, BMVC 2021).

    The skip is noised whether it is the identity or, at stride 2, a factorized reduction; ``drop`` is the
    probability of a drop path behind the noise. ``decay`` may be changed from epoch to epoch. Draws come from
    the device's default generator, whose state a checkpoint holds; ranks may differ in them.
    """

    def __init__(
        self,
        ops: Sequence[str | None],
        channels: int,
        stride: int,
        options: OpOptions,
        law: Law = "gaussian",
        mixing: Mixing = "additive",
        factor: float = 0.2,
        mean: float = 0.0,
        drop: float = 0.3,
    ) -> None:
        super().__init__(ops, channels, stride, options)
        self.law: Law = law
        self.mixing: Mixing = mixing
        self.factor = factor
        self.mean = mean
        self.drop = drop
        self.decay = 1.0

    def compute(self, name: str, x: Tensor) -> Tensor:
        out = super().compute(name, x)
        if name != SKIP or not _learns(self):
            return out
        noisy = skip_noise(out, self.law, self.mixing, self.factor, self.mean, self.decay)
        return drop_path(noisy, self.drop)

    def is_plain(self, name: str) -> bool:
        return name != SKIP


class AuxiliarySkip(MixedEdge):
    """A mixture plus ``beta`` times a skip connection of its own, while it trains: DARTS- (Chu et al., ICLR 2021).

    The auxiliary skip is the identity, or with ``auxiliary`` "conv" a 1x1 convolution that begins as the identity;
    at stride 2 it is a factorized reduction either way. It is no candidate, so no genotype has it. ``beta`` is lowered
    from epoch to epoch.
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
        if auxiliary not in ("skip", "conv"):
            raise NasError(f"auxiliary={auxiliary}: the auxiliary connection of an edge is a skip or a conv")
        if auxiliary == "conv" and stride == 1:
            conv = nn.Conv2d(channels, channels, 1, bias=False)
            nn.init.dirac_(conv.weight)
            self["auxiliary"] = conv
        else:
            self["auxiliary"] = OPS[SKIP](channels, stride, options)
        self.beta = beta

    def beside(self, x: Tensor) -> Tensor | None:
        return None if self.beta == 0 or not _learns(self) else self.beta * self["auxiliary"](x)


def _learns(edge: MixedEdge) -> bool:
    """Whether the edge is being trained. Genotypes are evaluated in training mode too, but without gradients."""
    return edge.training and torch.is_grad_enabled()
