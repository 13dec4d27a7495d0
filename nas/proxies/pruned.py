"""Supernet of which some ops have been pruned; the remaining ops of an edge have equal weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, EdgeWeights
from nas.proxies.fused import fused_forward
from nas.spaces.base import Network

Alive = Mapping[str, Sequence[Sequence[bool]]]
"""Remaining ops [edges, ops] of each cell type."""


class PrunedSupernet(nn.Module):
    """Supernet as a function of images: [B, C, H, W] -> [B, classes]. Each edge is the mean of its remaining ops.

    An edge without ops contributes nothing.

    Args:
        supernet: the supernet.
        alive: remaining ops.
        fuse: compute the same with fewer convolutions. This works in training mode only and requires
            ``nas.proxies.fused.can_fuse``. Hooks on ops are not called, hooks on ReLUs once per distinct input.
    """

    def __init__(self, supernet: Network, alive: Alive, fuse: bool = False) -> None:
        super().__init__()
        self.supernet = supernet
        self._fuse = fuse
        self.alive = {name: [list(row) for row in rows] for name, rows in alive.items()}

    def forward(self, x: Tensor) -> Tensor:
        if self._fuse:
            return fused_forward(self.supernet, x, self.alive)
        logits: Tensor = self.supernet(x, equal_weights(self.alive, x))
        return logits


def unpruned(network: nn.Module) -> nn.Module:
    """Return the supernet of a pruned supernet, and any other network itself."""
    return network.supernet if isinstance(network, PrunedSupernet) else network


def equal_weights(alive: Alive, like: Tensor) -> Architecture:
    """Return the architecture in which the remaining ops of each edge have equal weights that sum to 1."""
    arch: Architecture = {}
    for name, rows in alive.items():
        table = [[float(on) / max(sum(row), 1) for on in row] for row in rows]
        weights = torch.tensor(table, dtype=torch.float64).to(like.device, like.dtype)
        arch[name] = EdgeWeights(weights, [list(row) for row in rows])
    return arch
