"""Cell of the micro space, whose edges from the input may double the channels and halve the resolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from nas.architecture.cell import Cell
from nas.nn.cell_graph import CellGraph
from nas.nn.edges.mixed import EdgeFactory
from nas.nn.ops import FactorizedReduce, OpOptions, ReluConvNorm, strided

KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


@dataclass(frozen=True)
class WideningOptions(OpOptions):
    """Options of ops that change the number of channels to ``outputs``; a skip is then a factorized reduction."""

    outputs: int = 0

    def build(self, op: str, channels: int, stride: int) -> nn.Module:
        if op in KERNELS:
            return ReluConvNorm(channels, self.outputs, KERNELS[op], stride, self)
        return FactorizedReduce(channels, self.outputs, self)


class MicroCell(CellGraph):
    """Cell from ``inputs`` to ``outputs`` channels: [B, inputs, H, W] -> [B, outputs, ceil(H/s), ceil(W/s)].

    Args:
        cell: the table of edges and ops.
        inputs: channels of the input.
        outputs: channels of all other nodes.
        stride: of the edges from the input: 2 if ``outputs`` differs from ``inputs``, else 1.
        edge: builds an edge.
        options: of the ops.
    """

    def __init__(
        self, cell: Cell, inputs: int, outputs: int, stride: int, edge: EdgeFactory, options: OpOptions
    ) -> None:
        widening = WideningOptions(options.affine, options.track, options.bias, outputs=outputs)
        super().__init__(
            cell,
            lambda source: outputs if source else inputs,
            lambda source: 1 if source else stride,
            edge,
            lambda source: widening if source == 0 and stride > 1 else options,
        )
        self.outputs = outputs

    def _zeros(self, features: Mapping[int, Tensor], incoming: Sequence[int]) -> Tensor:
        edge = self.edges[self.keys[incoming[0]]]
        assert isinstance(edge.stride, int)
        x = strided(features[self.cell.edges[incoming[0]][0]], edge.stride)
        return x.new_zeros(*x.shape[:-3], self.outputs, *x.shape[-2:])
