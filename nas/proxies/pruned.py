"""A supernet in which every op that is left counts alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, EdgeWeights
from nas.proxies.fused import fused
from nas.spaces.base import Network

Alive = Mapping[str, Sequence[Sequence[bool]]]
"""For each cell type and edge, which ops are left."""


class Pruned(nn.Module):
    """``supernet`` as a function of images alone: each edge is the mean of the ops that ``alive`` leaves it.

    [B, C, H, W] -> [B, classes]. An edge without any op gives nothing. ``fuse`` computes the same with fewer
    convolutions, in training mode alone; the supernet must be ``fusible`` (``nas.proxies.fused``). Hooks on ops then
    see nothing, those on ReLUs each pattern once.
    """

    def __init__(self, supernet: Network, alive: Alive, fuse: bool = False) -> None:
        super().__init__()
        self.supernet = supernet
        self._fuse = fuse
        self.alive = {name: [list(row) for row in rows] for name, rows in alive.items()}

    def forward(self, x: Tensor) -> Tensor:
        if self._fuse:
            return fused(self.supernet, x, self.alive)
        logits: Tensor = self.supernet(x, equal_weights(self.alive, x))
        return logits


def equal_weights(alive: Alive, like: Tensor) -> Architecture:
    """The architecture in which the ops of an edge that are left share it alike."""
    found: Architecture = {}
    for name, rows in alive.items():
        table = [[float(on) / max(sum(row), 1) for on in row] for row in rows]
        weights = torch.tensor(table, dtype=torch.float64).to(like.device, like.dtype)
        found[name] = EdgeWeights(weights, [list(row) for row in rows])
    return found
