"""The space of MobileNetV2 blocks of ProxylessNAS, FairNAS and NoisyDARTS-A.

ProxylessNAS: Cai et al., ICLR 2019. FairNAS: Chu et al., ICCV 2021. NoisyDARTS: Chu et al., BMVC 2021; which of its
layers may be skipped is not published. A skip without weights is possible where a layer keeps the shape.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

from torch import nn

from nas.architecture.cell import Genotype
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.spaces.base import Network, Shape
from nas.spaces.check_inputs import require_text
from nas.spaces.single_path.chain import ChainSpace, chain_from_ops, chain_ops, split_blocks
from nas.spaces.single_path.chain_body import SKIP, Blocks, MixedChain
from nas.spaces.single_path.layout import Layer, Layout
from nas.spaces.single_path.mobilenet_v2_network import (
    Activation,
    BlockSpec,
    InvertedResidual,
    MobileNetV2Network,
    Style,
)
from nas.utils.errors import NasError
from nas.utils.ranges import CHANNELS, DROP_PROBABILITY, LAYERS, POSITIVE, PROBABILITY, STRIDE, check_ranges

NOTATION = "mobile"
KERNELS, EXPANSIONS = (3, 5, 7), (3, 6)
OPS = (*(f"mbconv{e}_{k}x{k}" for k, e in itertools.product(KERNELS, EXPANSIONS)), SKIP)
LAYOUT = Layout((32, 40, 80, 96, 192, 320), (2, 4, 4, 4, 4, 1), (2, 2, 2, 1, 2, 1))
"""The 19 layers of FairNAS and NoisyDARTS-A."""
PROXYLESS_LAYOUT = Layout((24, 40, 80, 96, 192, 320), (4, 4, 4, 4, 4, 1), (2, 2, 2, 1, 2, 1))
"""The 21 layers of ProxylessNAS."""
LAYOUTS = {layout.length: layout for layout in (LAYOUT, PROXYLESS_LAYOUT)}
_OP = re.compile(r"mbconv(\d)_(\d)x\d")
_BLOCK = re.compile(r"k(\d)e(\d)")


@check_ranges(
    **{"widths": CHANNELS, "depths": LAYERS, "strides": STRIDE, "stem_width": CHANNELS, "stem_stride": STRIDE},
    **{"first_width": CHANNELS, "head": CHANNELS, "squeeze": PROBABILITY, "norm_eps": POSITIVE},
    dropout=DROP_PROBABILITY,
)
class MobileNetV2Space(ChainSpace):
    """19 layers in six stages: inverted residuals (kernel 3, 5, 7, expansion 3, 6), or a skip if the shape is kept.

    Args:
        shape: (C, H, W) of an image.
        classes: number of classes.
        ops: the candidates; FairNAS has no ``skip_connect``.
        widths: channels of the stages.
        depths: number of layers of the stages.
        strides: stride of the first layer of each stage.
        stem_width: channels of the stem.
        stem_stride: stride of the stem.
        first_width: channels of the fixed block after the stem.
        head: channels before the classifier.
        squeeze: ratio of squeeze-and-excitation in the supernet, 0 for none.
        activation: of the supernet, "relu6" or "swish".
        affine: whether batch norm of the supernet has a scale and a shift.
        norm_eps: epsilon of batch norm.
        dropout: probability of dropout before the classifier, in the supernet.
        name: of the space in messages and run directories.

    Raises:
        NasError: if an op is unknown, or a layer has no candidate.
    """

    notation = NOTATION

    def __init__(
        self,
        shape: Shape,
        classes: int,
        ops: Sequence[str] = OPS,
        widths: Sequence[int] = LAYOUT.widths,
        depths: Sequence[int] = LAYOUT.depths,
        strides: Sequence[int] = LAYOUT.strides,
        stem_width: int = 32,
        stem_stride: int = 2,
        first_width: int = 16,
        head: int = 1280,
        squeeze: float = 0.0,
        activation: Activation = "relu6",
        affine: bool = True,
        norm_eps: float = 1e-5,
        dropout: float = 0.0,
        name: str = NOTATION,
    ) -> None:
        self.check_op_names(ops, OPS)
        layout = LAYOUT.replace(widths, depths, strides)
        super().__init__(shape, classes, layout, ops, first_width, stem_stride, name)
        self.stem_width, self.first_width, self.head = stem_width, first_width, head
        self.style = Style(squeeze, activation, norm_eps, affine)
        self.dropout = dropout

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        return self._network(self.mixed_chain(edge))

    def offers(self, op: str, layer: Layer) -> bool:
        return op != SKIP or layer.keeps_shape

    def block(self, op: str, layer: Layer) -> nn.Module:
        return nn.Identity() if op == SKIP else InvertedResidual(layer.inputs, block_spec(op, layer), self.style)

    def supernet_size(self) -> dict[str, Any]:
        """Return the options of ``network`` with which it has the layers of the supernet."""
        style = self.style
        return {"squeeze": style.squeeze, "activation": style.activation, "norm_eps": style.eps}

    @check_ranges(
        **{"widths": CHANNELS, "depths": LAYERS, "strides": STRIDE, "stem_width": CHANNELS, "stem_stride": STRIDE},
        **{"first_width": CHANNELS, "head": CHANNELS, "squeeze": PROBABILITY, "norm_eps": POSITIVE},
        dropout=DROP_PROBABILITY,
    )
    def network(
        self,
        genotype: Genotype,
        widths: Sequence[int] | None = None,
        depths: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        stem_width: int | None = None,
        stem_stride: int | None = None,
        first_width: int | None = None,
        head: int | None = None,
        squeeze: float = 0.25,
        activation: Activation | None = None,
        norm_eps: float = 1e-5,
        dropout: float = 0.0,
    ) -> Network:
        """Build the network for training, without its skips.

        Args:
            genotype: the genotype.
            widths, depths, strides, stem_width, stem_stride, first_width, head: see ``MobileNetV2Space``; None: the
                sizes of the space.
            squeeze: ratio of squeeze-and-excitation, 0 for none.
            activation: "relu6" or "swish". None: swish with squeeze-and-excitation, otherwise ReLU6, as published.
            norm_eps: epsilon of batch norm.
            dropout: probability of dropout before the classifier.
        """
        if activation is None:
            activation = "swish" if squeeze else "relu6"
        space = MobileNetV2Space(
            *(self.shape, self.classes, OPS),
            *self.layout.replace(widths, depths, strides),
            stem_width=self.stem_width if stem_width is None else stem_width,
            stem_stride=self.stem_stride if stem_stride is None else stem_stride,
            first_width=self.first_width if first_width is None else first_width,
            head=self.head if head is None else head,
            squeeze=squeeze,
            activation=activation,
            norm_eps=norm_eps,
            dropout=dropout,
            name=self.name,
        )
        space.check(genotype)
        pairs = zip(chain_ops(genotype), space.layers, strict=True)
        return space._network(Blocks([space.block(op, layer) for op, layer in pairs if op != SKIP]))

    def _network(self, blocks: Blocks | MixedChain) -> Network:
        sizes = self.fixed_sizes(self.stem_width, self.head)
        return MobileNetV2Network(blocks, self.first_width, sizes, self.style, self.dropout)

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)


def space_for(genotype: Genotype, shape: Shape, classes: int) -> MobileNetV2Space:
    """Return the space with the published layout of as many layers as the genotype has blocks.

    For another number of blocks, the network needs the option ``depths``.
    """
    layout = LAYOUTS.get(len(chain_ops(genotype)), LAYOUT)
    return MobileNetV2Space(shape, classes, OPS, *layout)


def block_spec(op: str, layer: Layer) -> BlockSpec:
    """Return the size of the block of an op other than a skip."""
    match = _OP.fullmatch(op)
    assert match is not None, op
    return BlockSpec(int(match[2]), int(match[1]), layer.stride, layer.outputs)


def native(genotype: Genotype) -> str:
    """Return ``mobile:k3e6-k3e3-skip-...``: kernel and expansion of each block."""
    blocks = [_OP.sub(r"k\2e\1", op) if op != SKIP else "skip" for op in chain_ops(genotype)]
    return f"{NOTATION}:{'-'.join(blocks)}"


def parse(text: str) -> Genotype:
    """Parse ``mobile:k3e6-...``. Raises NasError if it is malformed."""
    require_text(text)
    blocks = split_blocks(text, NOTATION)
    ops = [SKIP if block == "skip" else _BLOCK.sub(r"mbconv\2_\1x\1", block) for block in blocks]
    for block, op in zip(blocks, ops, strict=True):
        if op not in OPS:
            raise NasError(
                f"genotype={text}: unknown block '{block}'. Write skip or k3e6 (kernel 3, 5, 7, expansion 3, 6)."
            )
    return chain_from_ops(NOTATION, ops)
