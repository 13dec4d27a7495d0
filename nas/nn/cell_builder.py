"""Building of the cells of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nas.architecture.cell import Cell
from nas.nn.cell_graph import CellGraph, DropPathTarget
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.nn.ops import OpOptions


@dataclass(frozen=True)
class CellBuilder:
    """Edges, ops and execution that the cells of a network have in common.

    Attributes:
        edge: Builds an edge.
        options: Options of the ops.
        drop_path_on: Target of drop path.
        graph: Module that executes a cell.
        share_parallel: Whether links between the same two nodes share one op, which is executed once per link.
    """

    edge: EdgeFactory = MixedEdge
    options: OpOptions = field(default_factory=OpOptions)
    drop_path_on: DropPathTarget = "op"
    graph: Callable[..., CellGraph] = CellGraph
    share_parallel: bool = False

    def build(self, cell: Cell, channels: int, stride: Callable[[int], int]) -> CellGraph:
        """Build a cell whose nodes have ``channels``; ``stride`` maps the source node of an edge to its stride."""
        shared = {"share_parallel": True} if self.share_parallel else {}
        return self.graph(cell, channels, stride, self.edge, self.options, self.drop_path_on, **shared)
