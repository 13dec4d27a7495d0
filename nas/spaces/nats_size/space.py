"""The size space of NATS-Bench (Dong et al., TPAMI 2021): the widths of five layers, eight candidates each."""

from __future__ import annotations

from collections.abc import Sequence

from nas.architecture.cell import Cell, Genotype
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.nn.ops import OpOptions
from nas.spaces.base import Network, Shape, Space
from nas.spaces.nats_size.cost import nats_size_cost
from nas.spaces.nats_size.network import SizedNetwork
from nas.spaces.nats_size.notation import EDGES, LAYERS, NOTATION, WIDTHS, from_index, native, parse, widths_of
from nas.spaces.nats_size.supernet import Mix, SizedSupernet
from nas.utils.errors import NasError
from nas.utils.ranges import CHANNELS, check_ranges


@check_ranges(widths=CHANNELS)
class NatsSize(Space):
    """The search space over the output channels of five layers with a fixed cell.

    The table of its cell has one row per layer and one column per width, whose op name is the width as a number.

    Args:
        shape: (C, H, W) of an image.
        classes: number of classes.
        widths: the candidates, in ascending order.
        mix: how the supernet mixes widths, "mask" or "interpolate" (``SizedSupernet``).
        affine: whether the supernet's batch norm has a scale and a shift.
        track_statistics: whether the supernet's batch norm tracks running statistics.
        conv_bias: whether convolutions have a bias. None adds a bias where batch norm is not affine, as
            AutoDL-Projects does.
        name: of the space in messages and run directories.
    """

    notation = NOTATION
    counts_bias = True
    mixes_ops = False
    has_thin_networks = False

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
            raise NasError(f"space.widths={list(widths)}: widths are whole numbers of channels, at least 1.")
        if list(widths) != sorted(set(widths)):
            raise NasError(f"space.widths={list(widths)}: widths must ascend, each once. Sort them, smallest first.")
        self.widths = tuple(widths)
        self.cells = {"cell": Cell(EDGES, tuple(map(str, widths)), output=(LAYERS,))}
        self.size = len(self.widths) ** LAYERS
        self.mix: Mix = mix
        self.options = OpOptions(affine, track_statistics, not affine if conv_bias is None else conv_bias)

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        """Build the network of maximal width. Raises NasError if ``edge`` is not a plain ``MixedEdge``."""
        self.check_edge(edge)
        return SizedSupernet(self.widths, self.mix, self.options, self.shape, self.classes)

    def network(self, genotype: Genotype) -> Network:
        """Build the benchmark's own network. Widths other than the candidates are valid."""
        return SizedNetwork(widths_of(genotype), OpOptions(), OpOptions(), self.shape, self.classes)

    def count(self, genotype: Genotype) -> tuple[int, int]:
        return nats_size_cost(genotype, self.shape, self.classes)

    def from_index(self, index: int) -> Genotype:
        """Return the architecture at a lexicographic index; with the default widths, the benchmark's own index."""
        return from_index(index, self.widths)

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        widths_of(genotype)

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)
