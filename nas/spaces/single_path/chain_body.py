"""The searched part of a chain: the blocks of one genotype, or a mixed edge per layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell
from nas.nn.cell_graph import CellGraph
from nas.nn.edges.mixed import EdgeFactory, unbind_rows
from nas.nn.ops import OpOptions
from nas.spaces.single_path.layout import Layer

SKIP = "skip_connect"
CHAIN = "chain"
"""The cell type of a chain."""


@dataclass(frozen=True)
class LayerOptions(OpOptions):
    """Options of the ops of one layer, whose candidates are blocks.

    Args:
        block: builds a block by the name of its op.
        skips: whether the layer keeps the shape, so that an identity can replace it.
    """

    block: Callable[[str], nn.Module] = nn.Identity
    skips: bool = True

    def build(self, op: str, channels: int, stride: int) -> nn.Module:
        return nn.Identity() if op == SKIP else self.block(op)

    def can_skip(self, stride: int) -> bool:
        return self.skips


class Blocks(nn.ModuleList):
    """Blocks in a row: the chain of one genotype. [B, C, H, W] -> [B, C', H', W']."""

    def forward(self, x: Tensor, arch: Architecture | None = None) -> Tensor:
        for block in self:
            x = block(x)
        return x


class MixedChain(nn.Module):
    """A mixed edge per layer: the chain of a supernet. [B, C, H, W] -> [B, C', H', W'].

    Args:
        cell: the table with one edge per layer.
        layers: sizes of the layers.
        edge: builds the edge of a layer.
        block: builds the block of an op in a layer.
    """

    def __init__(
        self,
        cell: Cell,
        layers: Sequence[Layer],
        edge: EdgeFactory,
        block: Callable[[str, Layer], nn.Module],
    ) -> None:
        super().__init__()
        self.graph = CellGraph(
            cell,
            channels=lambda source: layers[source].inputs,
            stride=lambda source: layers[source].stride,
            edge=edge,
            options=lambda source: LayerOptions(
                block=lambda op: block(op, layers[source]), skips=layers[source].keeps_shape
            ),
        )
        # Drop path of a layer without a parallel path would remove the whole image.
        self.graph.drop_path = nn.Identity()  # type: ignore[assignment]

    def forward(self, x: Tensor, arch: Architecture) -> Tensor:
        features = self.graph([x], unbind_rows(arch[CHAIN]))
        return features[len(self.graph.keys)]
