"""The space of a genotype, from nothing but the genotype."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.cells import Genotype
from nas.errors import unknown
from nas.spaces.darts import DARTS_OPS, Darts
from nas.spaces.nas_bench_201 import NasBench201
from nas.spaces.space import Shape, Space


def _darts(genotype: Genotype, shape: Shape, classes: int) -> Space:
    """The published candidates and those that the genotype has beside them; without a reduction cell a fixed one."""
    found = {link.op for cell in genotype.cells.values() for link in cell.links}
    ops = (*DARTS_OPS, *sorted(found - set(DARTS_OPS)))
    return Darts(shape, classes, ops=ops, fixed_reduction="reduce" not in genotype.cells)


_SPACES: Mapping[str, Callable[[Genotype, Shape, int], Space]] = {
    Darts.notation: _darts,
    NasBench201.notation: lambda genotype, shape, classes: NasBench201(shape, classes),
}


def space_of(genotype: Genotype, shape: Shape, classes: int) -> Space:
    """The space whose notation a genotype is written in, for images ``shape`` (C, H, W) in ``classes`` classes.

    Raises NasError where there is none.
    """
    if genotype.space not in _SPACES:
        raise unknown("space of the genotype", genotype.space, _SPACES)
    return _SPACES[genotype.space](genotype, shape, classes)
