"""The space of a genotype, from nothing but the genotype."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.architecture.cell import NONE, Genotype
from nas.spaces.base import Shape, Space
from nas.spaces.darts.notation import NODES
from nas.spaces.darts.space import DARTS_OPS, Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import WIDTHS, NatsSize, widths_of
from nas.spaces.single_path.mobile import Mobile
from nas.spaces.single_path.shufflenet import ShuffleNet
from nas.utils.errors import unknown


def _darts(genotype: Genotype, shape: Shape, classes: int) -> Space:
    """The published space with what the cells need beside: more ops or nodes, none on a link, a fixed reduction."""
    links = [link for cell in genotype.cells.values() for link in cell.links]
    found = {link.op for link in links}
    return Darts(
        shape,
        classes,
        ops=(*DARTS_OPS, *sorted(found - set(DARTS_OPS))),
        nodes=max([len(NODES), *(link.target - 1 for link in links)]),
        repeats=True,
        keeps_none=NONE in found,
        fixed_reduction="reduce" not in genotype.cells,
    )


def _sizes(genotype: Genotype, shape: Shape, classes: int) -> Space:
    """The benchmark's widths, and those of the genotype that are not among them."""
    return NatsSize(shape, classes, widths=sorted({*WIDTHS, *widths_of(genotype)}))


SPACES: Mapping[str, Callable[[Genotype, Shape, int], Space]] = {
    Darts.notation: _darts,
    NasBench201.notation: lambda genotype, shape, classes: NasBench201(shape, classes),
    NatsSize.notation: _sizes,
    Mobile.notation: lambda genotype, shape, classes: Mobile(shape, classes),
    ShuffleNet.notation: lambda genotype, shape, classes: ShuffleNet(shape, classes),
}
"""How the space of a notation is made."""


def space_of(genotype: Genotype, shape: Shape, classes: int) -> Space:
    """The space whose notation a genotype is written in, for images ``shape`` (C, H, W) in ``classes`` classes.

    Raises NasError where there is none.
    """
    if genotype.space not in SPACES:
        raise unknown("space of the genotype", genotype.space, SPACES)
    return SPACES[genotype.space](genotype, shape, classes)
