"""Edges whose skip connection is dropped at random, element by element."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.nn.edges.mixed import MixedEdge
from nas.nn.ops import OpOptions


class SkipDropout(nn.Module):
    """An identity that zeroes each element with probability ``probability`` while gradients are taken, and scales the
    others by the inverse keep probability. [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self) -> None:
        super().__init__()
        self.probability = 0.0

    def forward(self, x: Tensor) -> Tensor:
        # a genotype is judged in training mode, for the statistics of its batch, but without gradients
        return F.dropout(x, self.probability, training=self.training and torch.is_grad_enabled())


class DroppedSkip(MixedEdge):
    """The weighted sum of the ops, with dropout behind an identity skip: P-DARTS (Chen et al., ICCV 2019).

    At stride 2 a skip has weights and is left alone, as published. A callback sets the probability of all
    ``SkipDropout`` modules (``nas.callbacks.schedules.p_darts.SkipDropoutSchedule``).
    """

    def __init__(self, ops: Sequence[str | None], channels: int, stride: int, options: OpOptions) -> None:
        super().__init__(ops, channels, stride, options)
        if "skip_connect" in self and isinstance(self["skip_connect"], nn.Identity):
            self["skip_connect"] = SkipDropout()
