"""The supernet of NATS-Bench's size space: all widths share the weights of the widest network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import EdgeWeights
from nas.nn.ops import OpOptions
from nas.spaces.base import Shape
from nas.spaces.nats_size.network import SizedNetwork
from nas.spaces.nats_size.skeleton import WIDTH_OF_BLOCK, convolutions

Mix = Literal["mask", "interpolate"]


class SizedSupernet(SizedNetwork):
    """The network at its maximal width; the output of each block is a mixture of the candidate widths.

    An architecture has one row per width, or one row per block: the stem and the first layer then have a row each.

    Args:
        widths: the candidate widths.
        mix: kind of the mixture. "mask" multiplies the features by the weighted sum of prefix masks. The mask of a
            width is 1 in that many first channels (FBNetV2, Wan et al., CVPR 2020). All weights take part, so a
            straight-through sample has its full gradient. "interpolate" resizes the first channels of each active width
            to the widest active one by average pooling over channels, and mixes the results (TAS, Dong and Yang,
            NeurIPS 2019).
        options: options of the ops.
        shape: (C, H, W) of an image.
        classes: number of classes.
    """

    prefixes: Tensor

    def __init__(
        self,
        widths: Sequence[int],
        mix: Mix,
        options: OpOptions,
        shape: Shape,
        classes: int,
    ) -> None:
        super().__init__([max(widths)] * 5, options, options, shape, classes)
        self.widths = tuple(widths)
        self.mix = mix
        self.image = shape
        masks = torch.arange(max(widths)) < torch.tensor(self.widths)[:, None]
        self.register_buffer("prefixes", masks.float(), persistent=False)

    def apply_width(self, x: Tensor, block: int, weights: EdgeWeights | None) -> Tensor:
        if weights is None:
            return x
        row = block if len(weights.active) == len(WIDTH_OF_BLOCK) else WIDTH_OF_BLOCK[block]
        if self.mix == "mask":
            mask = (weights.op[row, :, None] * self.prefixes).sum(dim=0)
            return x * mask.to(x.dtype)[:, None, None]
        return self._interpolate(x, weights.op[row].to(x.dtype), weights.active[row])

    def _interpolate(self, x: Tensor, op: Tensor, active: Sequence[bool]) -> Tensor:
        columns = [column for column, on in enumerate(active) if on]
        widest = max((self.widths[column] for column in columns), default=0)
        size = (widest, *x.shape[2:])
        # The 3D pooling takes the channels for a depth axis, which it resizes.
        terms = [F.adaptive_avg_pool3d(x[:, : self.widths[column]], size) * op[column] for column in columns]
        mixed = torch.stack(terms).sum(dim=0) if terms else x[:, :0]
        return F.pad(mixed, (0, 0, 0, 0, 0, x.shape[1] - widest))

    def op_costs(self) -> Tensor:
        """Return parameters, multiply-adds and memory access of each width, [3, 1, 5, widths], by the rules of SNAS.

        The cost of a width is that of its blocks after a layer of maximal width. The true cost also depends on the
        neighboring widths, which a sum over rows cannot express.
        """
        table = torch.zeros(3, 1, 5, len(self.widths))
        for block, row in enumerate(WIDTH_OF_BLOCK):
            for column, width in enumerate(self.widths):
                inputs = self.image[0] if block == 0 else width if block == 1 else max(self.widths)
                for conv in convolutions(block, inputs, width, self.image):
                    values = conv.pixels * conv.outputs
                    access = conv.pixels * conv.stride**2 * conv.inputs + values + conv.weights
                    costs = (conv.weights, conv.weights * conv.pixels, access)
                    table[:, 0, row, column] += torch.tensor(costs, dtype=table.dtype)
        return table
