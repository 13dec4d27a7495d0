"""nas.nn.cell_sequence: cells in sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.architecture.cell import EdgeWeights, own_key
from nas.nn.cell_graph import CellGraph
from nas.nn.cell_sequence import CellSequence
from nas.nn.edges.mixed import MixedEdge
from nas.nn.ops import OpOptions
from nas.spaces.nas_bench_201.notation import CELL


def sequence() -> CellSequence:
    """Return two cells with a sign change between them."""

    class Negate(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return -x

    cells = [CellGraph(CELL, 2, lambda source: 1, MixedEdge, OpOptions()) for _ in range(2)]
    return CellSequence([cells[0], Negate(), cells[1]])


def skips(scale: float) -> EdgeWeights:
    """Return the weights of a cell whose only active ops are skip connections, with one path to the last node."""
    table = torch.zeros(len(CELL.edges), len(CELL.ops))
    table[CELL.edges.index((0, 3)), CELL.ops.index("skip_connect")] = scale
    return EdgeWeights(table, (table != 0).tolist())


def test_each_cell_reads_the_module_before_it() -> None:
    x = torch.randn(3, 2, 4, 4)
    assert torch.allclose(sequence()(x, {"cell": skips(2.0)}), -4 * x)


def test_own_weights_of_a_cell_replace_those_of_its_type() -> None:
    x = torch.randn(3, 2, 4, 4)
    assert torch.allclose(sequence()(x, {"cell": skips(2.0), own_key("cell", 2): skips(5.0)}), -10 * x)


def test_positions_of_cells_are_those_in_the_sequence() -> None:
    assert sequence().cell_types() == {0: "cell", 2: "cell"}
