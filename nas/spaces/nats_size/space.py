"""The size space of NATS-Bench (Dong et al., TPAMI 2021): the widths of five layers, eight candidates each."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nas.architecture.cell import Cell, CellGenotype, Genotype, Link, describe
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.nn.ops import OpOptions
from nas.spaces.base import Network, Shape, Space
from nas.spaces.nats_size.network import Chain, Mix, SizedSupernet, convolutions
from nas.utils.errors import NasError

WIDTHS = (8, 16, 24, 32, 40, 48, 56, 64)
LAYERS = 5
EDGES = tuple((layer, layer + 1) for layer in range(LAYERS))
NOTATION = "nats_size"
LOOK = re.compile(r"\s*\d+(\s*:\s*\d+)+\s*")
"""What a text looks like that means widths."""


class NatsSize(Space):
    """A chain of five layers with a fixed cell; what is searched are their output channels.

    As a table the cell has one row a layer and one column a width, named by its number. ``mix`` is how the supernet
    mixes widths. ``conv_bias`` None gives convolutions a bias where batch norm is not affine, as AutoDL-Projects does.
    """

    notation = NOTATION
    counts_bias = True
    mixes_ops = False

    def __init__(
        self,
        shape: Shape,
        classes: int,
        widths: Sequence[int] = WIDTHS,
        mix: Mix = "mask",
        affine: bool = False,
        track_statistics: bool = False,
        conv_bias: bool | None = None,
        name: str = "nats_size",
    ) -> None:
        super().__init__(name, shape, classes)
        if not widths or any(type(width) is not int or width < 1 for width in widths):
            raise NasError(f"space.widths={list(widths)}: give whole numbers of channels, at least 1")
        if list(widths) != sorted(set(widths)):
            raise NasError(f"space.widths={list(widths)}: give each width once, the smallest first")
        self.widths = tuple(widths)
        self.cells = {"cell": Cell(EDGES, tuple(map(str, widths)), output=(LAYERS,))}
        self.members = len(self.widths) ** LAYERS
        self.mix: Mix = mix
        self.options = OpOptions(affine, track_statistics, not affine if conv_bias is None else conv_bias)

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        """The chain at the maximal width. Raises NasError for an ``edge`` of its own kind: there are none."""
        made = getattr(edge, "func", edge)
        if made is not MixedEdge or getattr(edge, "keywords", {}).get("add_inactive"):
            raise NasError(
                f"{getattr(made, '__name__', made)} changes how an edge mixes its ops: space '{self.name}' has widths, "
                "and no such edges"
            )
        return SizedSupernet(self.widths, self.mix, self.options, self.shape, self.classes)

    def network(self, genotype: Genotype) -> Network:
        """The benchmark's own network; widths that are no candidates can be built too."""
        return Chain(widths_of(genotype), OpOptions(), OpOptions(), self.shape, self.classes)

    def member(self, index: int) -> Genotype:
        """The architecture with this rank among the candidates; of the eight of the benchmark its own index."""
        return from_index(index, self.widths)

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        widths_of(genotype)

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)


def native(genotype: Genotype) -> str:
    """The widths as ``8:16:24:32:40``."""
    return ":".join(map(str, widths_of(genotype)))


def parse(text: str) -> Genotype:
    """The genotype of widths written ``8:16:24:32:40``. Raises NasError for anything else."""
    parts = [part.strip() for part in text.split(":")]
    if len(parts) != LAYERS or not all(re.fullmatch(r"[1-9]\d{0,5}", part) for part in parts):
        raise NasError(f"'{text}' is not a NATS-Bench size: expected the channels of five layers as 8:16:24:32:40")
    return from_widths([int(part) for part in parts])


def from_widths(widths: Sequence[int]) -> Genotype:
    """The genotype with these output channels."""
    links = tuple(Link(str(width), *edge) for width, edge in zip(widths, EDGES, strict=True))
    return Genotype(NOTATION, {"cell": CellGenotype(links, (LAYERS,))})


def widths_of(genotype: Genotype) -> tuple[int, ...]:
    """The output channels of the five layers. Raises NasError where the genotype does not tell them."""
    if genotype.space != NOTATION or set(genotype.cells) != {"cell"}:
        raise NasError(
            f"a genotype of space '{genotype.space}' (cells {', '.join(genotype.cells)}) has no widths of layers"
        )
    links = genotype.cells["cell"].links
    ops = {(link.source, link.target): link.op for link in links}
    if len(links) != LAYERS or set(ops) != set(EDGES) or not all(op.isdecimal() and int(op) for op in ops.values()):
        raise NasError(f"a genotype of space '{NOTATION}' has one width for each of {LAYERS} layers: {describe(links)}")
    return tuple(int(ops[edge]) for edge in EDGES)


def from_index(index: int, widths: Sequence[int] = WIDTHS) -> Genotype:
    """The architecture with this rank in lexicographic order, the last layer fastest. Raises NasError outside."""
    size = len(widths) ** LAYERS
    if not 0 <= index < size:
        raise NasError(f"there is no architecture {index} of widths: indices run from 0 to {size - 1}")
    digits = [index // len(widths) ** place % len(widths) for place in reversed(range(LAYERS))]
    return from_widths([widths[digit] for digit in digits])


def to_index(genotype: Genotype, widths: Sequence[int] = WIDTHS) -> int:
    """The rank of an architecture. Raises NasError for widths that are no candidates."""
    index = 0
    for width in widths_of(genotype):
        if width not in widths:
            raise NasError(f"width {width} of '{native(genotype)}' is none of {', '.join(map(str, widths))}")
        index = index * len(widths) + list(widths).index(width)
    return index


def cost(genotype: Genotype, shape: Shape, classes: int) -> tuple[int, int]:
    """Parameters and multiply-adds of an architecture's network, without building it.

    Multiply-adds as the benchmark states them: convolutions, and the linear layer with its bias.
    """
    widths = widths_of(genotype)
    found = [
        conv
        for block, pair in enumerate(zip((shape[0], widths[0], *widths), (widths[0], *widths), strict=False))
        for conv in convolutions(block, *pair, shape)
    ]
    linear = (widths[-1] + 1) * classes
    parameters = sum(conv.weights + 2 * conv.outputs * conv.norm for conv in found) + 2 * widths[-1] + linear
    return parameters, sum(conv.weights * conv.pixels for conv in found) + linear
