"""nas.nn.cell_builder: what the cells of a network have in common."""

from __future__ import annotations

from torch import nn

from nas.architecture.cell import Cell
from nas.nn.cell_builder import CellBuilder
from nas.nn.edges.skips import AuxiliarySkip
from nas.nn.fused_cell_graph import FusedCellGraph
from nas.nn.ops import OpOptions

CELL = Cell(((0, 2), (1, 2)), ("skip_connect", "sep_conv_3x3"), (2,), inputs=2)


def test_cells_have_the_edges_ops_and_execution_of_the_builder() -> None:
    builder = CellBuilder(AuxiliarySkip, OpOptions(affine=False), "node", FusedCellGraph)
    graph = builder.build(CELL, 4, lambda source: 1 + source)
    edges = [graph.edges[key] for key in graph.keys]  # noqa: SIM118, an attribute
    assert isinstance(graph, FusedCellGraph) and graph.drop_path_on == "node"
    assert all(isinstance(edge, AuxiliarySkip) for edge in edges) and [edge.stride for edge in edges] == [1, 2]
    assert not any(norm.affine for norm in graph.modules() if isinstance(norm, nn.BatchNorm2d))


def test_default_cells_are_those_of_final_networks() -> None:
    graph = CellBuilder().build(CELL, 4, lambda source: 1)
    assert graph.drop_path_on == "op" and not isinstance(graph, FusedCellGraph)
    assert all(norm.affine for norm in graph.modules() if isinstance(norm, nn.BatchNorm2d))
