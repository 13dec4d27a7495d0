"""The single-path space of ShuffleNetV2 units (Guo et al., ECCV 2020; DSNAS: Hu et al., CVPR 2020)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from torch import nn

from nas.architecture.cell import Genotype
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.spaces.base import Network, Shape
from nas.spaces.check_inputs import require_text
from nas.spaces.single_path.chain import ChainSpace, chain_from_ops, chain_ops, split_blocks
from nas.spaces.single_path.chain_body import Blocks, MixedChain
from nas.spaces.single_path.layout import Layer, Layout
from nas.spaces.single_path.shufflenet_v2_network import ConvNorm, ShuffleNetV2Network, ShuffleUnit, UnitSpec
from nas.utils.errors import NasError
from nas.utils.ranges import CHANNELS, DROP_PROBABILITY, LAYERS, POSITIVE, STRIDE, check_ranges

NOTATION = "shufflenet"
UNITS = {"shuffle_3x3": 3, "shuffle_5x5": 5, "shuffle_7x7": 7, "xception_3x3": 0}
"""Kernel of each unit, 0 for the Xception-like one. Published architectures number the units 0 to 3 in this order."""
SCALES = ("0.2", "0.4", "0.6", "0.8", "1.0", "1.2", "1.4", "1.6", "1.8", "2.0")
"""Candidates for the inner width of a unit relative to half of its output (Single Path One-Shot)."""
DEFAULT_SCALE = "1.0"
OPS = (*UNITS, *(f"{unit}_{scale}" for unit, scale in itertools.product(UNITS, SCALES) if scale != DEFAULT_SCALE))
LAYOUT = Layout((64, 160, 320, 640), (4, 4, 8, 4), (2, 2, 2, 2))


@check_ranges(
    **{"widths": CHANNELS, "depths": LAYERS, "strides": STRIDE, "stem_width": CHANNELS, "stem_stride": STRIDE},
    **{"head": CHANNELS, "norm_eps": POSITIVE, "dropout": DROP_PROBABILITY},
)
class ShuffleNetV2Space(ChainSpace):
    """20 layers in four stages of 64, 160, 320 and 640 channels, with four candidate units each.

    Args:
        shape: (C, H, W) of an image.
        classes: number of classes.
        ops: the candidates, units (``UNITS``) or units of another inner width such as ``shuffle_3x3_1.4``.
        widths: channels of the stages.
        depths: number of layers of the stages.
        strides: stride of the first layer of each stage.
        stem_width: channels of the stem.
        stem_stride: stride of the stem.
        head: channels before the classifier.
        affine: whether batch norm of the supernet has a scale and a shift.
        affine_ends: the same for the stem and the head of the supernet; None: as ``affine``.
        norm_eps: epsilon of batch norm.
        dropout: probability of dropout before the classifier.
        name: of the space in messages and run directories.

    Raises:
        NasError: if an op is unknown, or the stages do not fit the units.
    """

    notation = NOTATION

    def __init__(
        self,
        shape: Shape,
        classes: int,
        ops: Sequence[str] = tuple(UNITS),
        widths: Sequence[int] = LAYOUT.widths,
        depths: Sequence[int] = LAYOUT.depths,
        strides: Sequence[int] = LAYOUT.strides,
        stem_width: int = 16,
        stem_stride: int = 2,
        head: int = 1024,
        affine: bool = False,
        affine_ends: bool | None = None,
        norm_eps: float = 1e-5,
        dropout: float = 0.1,
        name: str = NOTATION,
    ) -> None:
        self.check_op_names(ops, OPS)
        layout = LAYOUT.replace(widths, depths, strides)
        super().__init__(shape, classes, layout, ops, stem_width, stem_stride, name)
        _check_layers(self.layers)
        self.stem_width, self.head, self.dropout, self.norm_eps = stem_width, head, dropout, norm_eps
        self.units = ConvNorm(norm_eps, affine)
        self.ends = ConvNorm(norm_eps, affine if affine_ends is None else affine_ends)

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        return self._network(self.mixed_chain(edge), self.ends, self.dropout)

    def supernet_size(self) -> dict[str, Any]:
        """Return the options of ``network`` with which it has the batch norm of the supernet."""
        return {"norm_eps": self.norm_eps}

    def block(self, op: str, layer: Layer) -> nn.Module:
        return ShuffleUnit(layer.inputs, unit_spec(op, layer), self.units)

    @check_ranges(
        **{"widths": CHANNELS, "depths": LAYERS, "strides": STRIDE, "stem_width": CHANNELS, "stem_stride": STRIDE},
        **{"head": CHANNELS, "norm_eps": POSITIVE, "dropout": DROP_PROBABILITY},
    )
    def network(
        self,
        genotype: Genotype,
        widths: Sequence[int] | None = None,
        depths: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        stem_width: int | None = None,
        stem_stride: int | None = None,
        head: int | None = None,
        norm_eps: float = 1e-5,
        dropout: float | None = None,
    ) -> Network:
        """Build the network for training, with affine batch norm.

        Args:
            genotype: the genotype.
            widths, depths, strides, stem_width, stem_stride, head, dropout: see ``ShuffleNetV2Space``; None: the values
                of the space.
            norm_eps: epsilon of batch norm, 1e-2 in the search of DSNAS.
        """
        space = ShuffleNetV2Space(
            *(self.shape, self.classes, OPS),
            *self.layout.replace(widths, depths, strides),
            stem_width=self.stem_width if stem_width is None else stem_width,
            stem_stride=self.stem_stride if stem_stride is None else stem_stride,
            head=self.head if head is None else head,
            affine=True,
            norm_eps=norm_eps,
            dropout=self.dropout if dropout is None else dropout,
        )
        space.check(genotype)
        blocks = [space.block(op, layer) for op, layer in zip(chain_ops(genotype), space.layers, strict=True)]
        return space._network(Blocks(blocks), space.ends, space.dropout)

    def _network(self, features: Blocks | MixedChain, ends: ConvNorm, dropout: float) -> Network:
        return ShuffleNetV2Network(features, self.fixed_sizes(self.stem_width, self.head), ends, dropout)

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)


def _check_layers(layers: Sequence[Layer]) -> None:
    """Raise NasError for a layer whose unit has no channels left for one of its branches."""
    for layer in layers:
        if layer.keeps_shape and layer.outputs % 2:
            raise NasError(f"space.widths=[{layer.outputs}]: a unit of an odd width cannot be halved. Use even widths.")
        if not layer.keeps_shape and layer.outputs <= layer.inputs:
            raise NasError(
                f"space.widths=[{layer.outputs}]: the stage is not wider than the {layer.inputs} channels before it. "
                "Use widths that increase from space.stem_width on."
            )


def unit_spec(op: str, layer: Layer) -> UnitSpec:
    """Return the size of the unit of an op. The inner width is truncated, as in the authors' code."""
    unit, scale = _split_op(op)
    return UnitSpec(UNITS[unit], max(1, int(layer.outputs // 2 * float(scale))), layer.stride, layer.outputs)


def native(genotype: Genotype) -> str:
    """Return ``shufflenet:0-0-3-...``: the number of each unit; 0x1.4 has 1.4 times the inner width."""
    blocks = []
    for op in chain_ops(genotype):
        unit, scale = _split_op(op)
        blocks.append(f"{list(UNITS).index(unit)}" + (f"x{scale}" if scale != DEFAULT_SCALE else ""))
    return f"{NOTATION}:{'-'.join(blocks)}"


def parse(text: str) -> Genotype:
    """Parse ``shufflenet:0-0-3-...``. Raises NasError if it is malformed."""
    require_text(text)
    ops = []
    for block in split_blocks(text, NOTATION):
        number, _, scale = block.partition("x")
        if number not in ("0", "1", "2", "3") or (scale or DEFAULT_SCALE) not in SCALES:
            raise NasError(
                f"genotype={text}: unknown block '{block}'. Write 0 to 3, optionally followed by x and one of "
                f"{', '.join(SCALES)}."
            )
        unit = list(UNITS)[int(number)]
        ops.append(unit if scale in ("", DEFAULT_SCALE) else f"{unit}_{scale}")
    return chain_from_ops(NOTATION, ops)


def _split_op(op: str) -> tuple[str, str]:
    """Split an op such as ``shuffle_3x3_1.4`` into the unit and the scale of its inner width."""
    unit = op if op in UNITS else op.rpartition("_")[0]
    return unit, op[len(unit) + 1 :] or DEFAULT_SCALE
