"""Features of genotypes for predictors: a vector of zeros and ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nas.architecture.cell import Cell, CellGenotype, Genotype
from nas.spaces.base import Space
from nas.utils.errors import NasError

Table = NDArray[np.float64]
Encoding = Literal["auto", "paths", "one_hot"]
MAX_PATHS = 1000
"""Maximum number of path features per cell, unless another one is set."""

Path = tuple[int, tuple[str, ...]]
"""Input node of a path, and the ops along it."""


class Features(ABC):
    """Mapping from genotypes of a space to vectors of equal length.

    Attributes:
        size: number of features.
    """

    size: int

    @abstractmethod
    def indices(self, genotype: Genotype) -> list[int]:
        """Return the positions of the nonzero entries in the vector of a genotype."""

    def encode(self, genotypes: Sequence[Genotype]) -> Table:
        """Return the features [genotypes, size]."""
        table = np.zeros((len(genotypes), self.size))
        for row, genotype in zip(table, genotypes, strict=True):
            row[self.indices(genotype)] = 1.0
        return table


class OneHotFeatures(Features):
    """Indicators of each op on each edge: the adjacency encoding of White et al. (NeurIPS 2020), one-hot."""

    def __init__(self, space: Space) -> None:
        self._columns: dict[tuple[str, int, int, str], int] = {}
        for name, cell in space.cells.items():
            for edge, (source, target) in enumerate(cell.edges):
                for op in cell.choices(edge):
                    self._columns[name, source, target, op] = len(self._columns)
        self.size = len(self._columns)

    def indices(self, genotype: Genotype) -> list[int]:
        return [
            self._columns[name, source, target, op]
            for name, cell in genotype.cells.items()
            for op, source, target in cell.links
        ]


class PathFeatures(Features):
    """Indicators of paths from an input of a cell to its output (White et al., AAAI 2021).

    A path is an input node and the sequence of ops. As in the authors' program, its nodes are not part of it, and the
    op ``none`` is an op like any other. Short paths come first. If a cell has more than ``max_paths`` paths, the
    lengths that exceed the number are left out.

    Args:
        space: search space.
        max_paths: maximum number of features per cell.

    Raises:
        NasError: if no cell has branches, or ``max_paths`` leaves out all paths.
    """

    def __init__(self, space: Space, max_paths: int = MAX_PATHS) -> None:
        if not has_branches(space):
            raise NasError(
                f"method.strategy.encoding=paths: in space={space.name} a single path leads through each cell. Set "
                "method.strategy.encoding=one_hot."
            )
        self._columns: dict[tuple[str, Path], int] = {}
        self._lengths: dict[str, int] = {}
        for name, cell in space.cells.items():
            paths, self._lengths[name] = _possible_paths(cell, max_paths)
            for path in paths:
                self._columns[name, path] = len(self._columns)
        self.size = len(self._columns)
        if not self.size:
            raise NasError(
                f"method.strategy.max_paths={max_paths}: space={space.name} has more paths of length 1. Increase it, "
                "or set method.strategy.encoding=one_hot."
            )

    def indices(self, genotype: Genotype) -> list[int]:
        return [
            self._columns[name, path]
            for name, cell in genotype.cells.items()
            for path in paths_of(cell, self._lengths[name])
        ]


def features_of(space: Space, encoding: Encoding = "auto", max_paths: int = MAX_PATHS) -> Features:
    """Return the features of a space; ``auto`` selects paths if the cells have branches, and one-hot ops otherwise.

    Raises:
        NasError: if the encoding is unknown or has no meaning on the space.
    """
    if encoding not in ("auto", "paths", "one_hot"):
        raise NasError(f"method.strategy.encoding={encoding}: use auto, paths or one_hot.")
    if encoding == "one_hot" or (encoding == "auto" and not has_branches(space)):
        return OneHotFeatures(space)
    return PathFeatures(space, max_paths)


def has_branches(space: Space) -> bool:
    """Return whether a node of a cell has candidate edges from several nodes."""
    return any(len(cell.into(node)) > 1 for cell in space.cells.values() for node in cell.nodes)


def paths_of(cell: CellGenotype, longest: int) -> set[Path]:
    """Return the paths of at most ``longest`` ops from an input of a cell to its output."""
    ending: dict[int, set[Path]] = {}
    for link in sorted(cell.links, key=lambda link: link.target):
        before = ending.get(link.source, {(link.source, ())})
        paths = {(start, (*ops, link.op)) for start, ops in before if len(ops) < longest}
        ending.setdefault(link.target, set()).update(paths)
    return set().union(*(ending.get(node, set()) for node in cell.output))


def _possible_paths(cell: Cell, limit: int) -> tuple[list[Path], int]:
    """Return all paths up to the largest length whose features do not exceed the limit, and that length."""
    ops = list(dict.fromkeys(op for edge in range(len(cell.edges)) for op in cell.choices(edge)))
    inputs = sorted({source for source, _ in cell.edges} - set(cell.nodes))
    starts: dict[int, set[tuple[int, int]]] = {0: {(node, node) for node in inputs}}  # (input, last node) by length
    paths: list[Path] = []
    for length in range(1, len(cell.nodes) + 1):
        starts[length] = {(start, b) for start, last in starts[length - 1] for a, b in cell.edges if a == last}
        reaching = sorted({start for start, last in starts[length] if last in cell.output})
        if len(paths) + len(reaching) * len(ops) ** length > limit:
            return paths, length - 1
        paths += [(start, chosen) for start in reaching for chosen in product(ops, repeat=length)]
    return paths, len(cell.nodes)
