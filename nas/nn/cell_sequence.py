"""Cells in sequence, each of which reads the output of the module before it."""

from __future__ import annotations

from torch import Tensor, nn

from nas.architecture.cell import Architecture, own_key
from nas.nn.cell_graph import CellGraph
from nas.nn.edges.mixed import unbind_rows


class CellSequence(nn.ModuleList):
    """Cells of one type, with other modules between them. The output of a cell is its last node."""

    def forward(self, x: Tensor, arch: Architecture | None = None) -> Tensor:
        """Apply all modules; ``arch`` has the weights of the type "cell", or of single cells, None for a genotype."""
        tables = {} if arch is None else {key: unbind_rows(weights) for key, weights in arch.items()}
        for position, module in enumerate(self):
            if isinstance(module, CellGraph):
                table = tables.get(own_key("cell", position), tables.get("cell"))
                x = module([x], table)[module.cell.output[-1]]
            else:
                x = module(x)
        return x

    def cell_types(self) -> dict[int, str]:
        """Return the type of each cell by its position."""
        return {position: "cell" for position, module in enumerate(self) if isinstance(module, CellGraph)}
