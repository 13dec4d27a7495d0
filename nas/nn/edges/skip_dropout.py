"""Edges with dropout after the skip connection (P-DARTS)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.nn.edges.mixed import MixedEdge
from nas.nn.ops import OpOptions


class SkipDropout(nn.Module):
    """Identity with dropout of single elements, [B, C, H, W] -> [B, C, H, W].

    Dropout is active in training mode while gradients are enabled. ``probability`` is that of zeroing an element.
    """

    def __init__(self) -> None:
        super().__init__()
        self.probability = 0.0

    def forward(self, x: Tensor) -> Tensor:
        # Genotypes are evaluated in training mode, for the statistics of the batch, but without gradients.
        return F.dropout(x, self.probability, training=self.training and torch.is_grad_enabled())


class DroppedSkip(MixedEdge):
    """A mixed edge with dropout after an identity skip: P-DARTS (Chen et al., ICCV 2019).

    At stride 2 the skip has weights and no dropout, as published. The callback
    ``nas.callbacks.schedules.p_darts.DropSkips`` sets the probability of all ``SkipDropout`` modules.
    """

    def __init__(self, ops: Sequence[str | None], channels: int, stride: int, options: OpOptions) -> None:
        super().__init__(ops, channels, stride, options)
        if "skip_connect" in self and isinstance(self["skip_connect"], nn.Identity):
            self["skip_connect"] = SkipDropout()

    def is_plain(self, name: str) -> bool:
        return not isinstance(self[name], SkipDropout)
