"""The spaces with a benchmark: how it spells an architecture and what its network costs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.architecture.cell import Genotype, format_links
from nas.spaces.base import Shape
from nas.spaces.nas_bench_201 import notation as nas_bench_201
from nas.spaces.nas_bench_201.cost import nas_bench_201_cost
from nas.spaces.nats_size import notation as nats_size
from nas.spaces.nats_size.cost import nats_size_cost
from nas.utils.errors import NasError

DATASETS: Mapping[str, tuple[Shape, int]] = {
    "cifar10": ((3, 32, 32), 10),
    "cifar100": ((3, 32, 32), 100),
    "imagenet16_120": ((3, 16, 16), 120),
}
"""The data sets of the benchmarks, with the shape of an image and the number of classes."""


@dataclass(frozen=True)
class Kind:
    """A benchmark's space. ``edges`` are the links that every genotype has, ``ops`` what each may bear.

    ``epochs`` is the length of the trainings that papers report.
    """

    notation: str
    title: str
    epochs: int
    edges: tuple[tuple[int, int], ...]
    ops: tuple[str, ...]
    spell: Callable[[Iterable[str]], str]
    count: Callable[[tuple[str, ...], Shape, int], tuple[int, int]]

    @property
    def size(self) -> int:
        """How many architectures the space has."""
        return len(self.ops) ** len(self.edges)

    def names(self) -> Iterator[str]:
        """The benchmark's names of all architectures, in no particular order."""
        return map(self.spell, itertools.product(self.ops, repeat=len(self.edges)))

    def choice(self, genotype: Genotype) -> tuple[str, ...]:
        """The ops of a genotype in the order of ``edges``. Raises NasError where it is not of this space."""
        if genotype.space != self.notation or len(genotype.cells) != 1:
            raise NasError(
                f"a genotype of space '{genotype.space}' (cells {', '.join(genotype.cells)}) is not in {self.title}"
            )
        (cell,) = genotype.cells.values()
        found = {(source, target): op for op, source, target in cell.links}
        if len(cell.links) != len(self.edges) or set(found) != set(self.edges) or set(found.values()) - set(self.ops):
            raise NasError(
                f"{format_links(cell.links)}: not an architecture of {self.title}, which has one of "
                f"{', '.join(self.ops)} on each of {', '.join(f'{source}->{target}' for source, target in self.edges)}"
            )
        return tuple(found[edge] for edge in self.edges)

    def native(self, genotype: Genotype) -> str:
        """The benchmark's name of an architecture. Raises NasError where it is not of this space."""
        return self.spell(self.choice(genotype))


def _topology(ops: Iterable[str]) -> str:
    return nas_bench_201.native(nas_bench_201.from_ops(tuple(ops)))


def _topology_cost(ops: tuple[str, ...], shape: Shape, classes: int) -> tuple[int, int]:
    return nas_bench_201_cost(nas_bench_201.from_ops(ops), shape, classes)


def _size_cost(ops: tuple[str, ...], shape: Shape, classes: int) -> tuple[int, int]:
    return nats_size_cost(nats_size.from_widths([int(op) for op in ops]), shape, classes)


KINDS: Mapping[str, Kind] = {
    kind.notation: kind
    for kind in (
        Kind(
            nas_bench_201.NOTATION,
            "NAS-Bench-201",
            200,
            nas_bench_201.EDGES,
            nas_bench_201.OPS,
            _topology,
            _topology_cost,
        ),
        Kind(
            nats_size.NOTATION,
            "the size space of NATS-Bench",
            90,
            nats_size.EDGES,
            tuple(map(str, nats_size.WIDTHS)),
            ":".join,
            _size_cost,
        ),
    )
}
"""The benchmarks' spaces by their notation."""


def places(root: str | Path, notation: str) -> list[Path]:
    """The directories in which a space's table is looked for: ``root`` itself and the one named after the notation."""
    base = Path(root).expanduser()
    return [base, base / notation]
