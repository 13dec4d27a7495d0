"""Base class of relaxations that turn each edge's row of alpha into op weights by the same rule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from nas.architecture.cell import Architecture, EdgeWeights
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation


class RelaxedEdges(NamedTuple):
    """Op weights of all edges of a cell type."""

    weights: Tensor
    """Mixing weights [edges, ops]."""
    chosen: Tensor | None = None
    """The column of the single op that each edge executes, int64 [edges], -1 for none; None: all ops."""


class EdgewiseRelaxation(Relaxation):
    """A relaxation with one distribution per edge. A subclass implements only ``relax``."""

    @abstractmethod
    def relax(self, alpha: Tensor, mask: Tensor) -> RelaxedEdges:
        """Relax the edges of one cell type.

        Args:
            alpha: architecture parameters [edges, ops].
            mask: True where an op may have weight [edges, ops].
        """

    def sample(self, masks: Masks) -> Architecture:
        return execute_chosen({name: self.relax(alpha, masks.table(name)) for name, alpha in self.alpha.items()}, masks)


def execute_chosen(relaxed: Mapping[str, RelaxedEdges], masks: Masks) -> Architecture:
    """Return the architecture of relaxed edges. It copies the chosen columns to the host in a single transfer."""
    columns = _to_host([edges.chosen for edges in relaxed.values()])
    return {
        name: EdgeWeights(edges.weights, _active(masks.lists(name), chosen))
        for (name, edges), chosen in zip(relaxed.items(), columns, strict=True)
    }


def _active(mask: list[list[bool]], columns: list[int] | None) -> list[list[bool]]:
    if columns is None:
        return mask
    return [
        [on and column == chosen for column, on in enumerate(row)] for row, chosen in zip(mask, columns, strict=True)
    ]


def _to_host(columns: list[Tensor | None]) -> list[list[int] | None]:
    """Copy the chosen columns of all cell types to the host in a single transfer."""
    present = [c for c in columns if c is not None]
    flat = torch.cat(present).tolist() if present else []
    result: list[list[int] | None] = []
    for column in columns:
        size = 0 if column is None else column.numel()
        result.append(None if column is None else flat[:size])
        flat = flat[size:]
    return result
