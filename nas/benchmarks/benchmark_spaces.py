"""Spaces with a benchmark: native strings, closed-form costs and data sets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

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
"""Data sets of the benchmarks: shape of an image [C, H, W] and number of classes."""


@dataclass(frozen=True)
class BenchmarkSpace:
    """Space of a benchmark.

    Attributes:
        notation: notation of the space.
        title: name in messages.
        epochs: length of the trainings that papers report.
        edges: edges (source, target) that every genotype has.
        ops: candidate ops of each edge.
        to_native: maps the ops, in the order of ``edges``, to the native string.
        cost: maps the ops, the shape of an image and the number of classes to parameters and multiply-adds.
    """

    notation: str
    title: str
    epochs: int
    edges: tuple[tuple[int, int], ...]
    ops: tuple[str, ...]
    to_native: Callable[[Iterable[str]], str]
    cost: Callable[[tuple[str, ...], Shape, int], tuple[int, int]]

    @property
    def datasets(self) -> tuple[str, ...]:
        """Data sets of the benchmark."""
        return tuple(DATASETS)

    @property
    def size(self) -> int:
        """Number of architectures."""
        return len(self.ops) ** len(self.edges)

    def all_native(self) -> Iterator[str]:
        """Yield the native strings of all architectures."""
        return map(self.to_native, itertools.product(self.ops, repeat=len(self.edges)))

    def ops_of(self, genotype: Genotype) -> tuple[str, ...]:
        """Return the ops of a genotype in the order of ``edges``. Raise NasError if it is not of this space."""
        if genotype.space != self.notation or len(genotype.cells) != 1:
            raise NasError(
                f"a genotype of space '{genotype.space}' (cells {', '.join(genotype.cells)}) is not in {self.title}"
            )
        (cell,) = genotype.cells.values()
        op_of_edge = {(source, target): op for op, source, target in cell.links}
        if (
            len(cell.links) != len(self.edges)
            or set(op_of_edge) != set(self.edges)
            or set(op_of_edge.values()) - set(self.ops)
        ):
            raise NasError(
                f"{format_links(cell.links)} is not an architecture of {self.title}, which has one of "
                f"{', '.join(self.ops)} on each of {', '.join(f'{source}->{target}' for source, target in self.edges)}"
            )
        return tuple(op_of_edge[edge] for edge in self.edges)

    def params_and_macs(self, genotype: Genotype, dataset: str) -> tuple[int, int]:
        """Return parameters and multiply-adds of a genotype for the images and classes of a data set."""
        return self.cost(self.ops_of(genotype), *DATASETS[dataset])

    def native(self, genotype: Genotype) -> str:
        """Return the native string of a genotype. Raise NasError if it is not of this space."""
        return self.to_native(self.ops_of(genotype))


def _nas_bench_201_native(ops: Iterable[str]) -> str:
    return nas_bench_201.native(nas_bench_201.from_ops(tuple(ops)))


def _nas_bench_201_cost(ops: tuple[str, ...], shape: Shape, classes: int) -> tuple[int, int]:
    return nas_bench_201_cost(nas_bench_201.from_ops(ops), shape, classes)


def _nats_size_cost(ops: tuple[str, ...], shape: Shape, classes: int) -> tuple[int, int]:
    return nats_size_cost(nats_size.from_widths([int(op) for op in ops]), shape, classes)


BENCHMARK_SPACES: Mapping[str, BenchmarkSpace] = {
    space.notation: space
    for space in (
        BenchmarkSpace(
            nas_bench_201.NOTATION,
            "NAS-Bench-201",
            200,
            nas_bench_201.EDGES,
            nas_bench_201.OPS,
            _nas_bench_201_native,
            _nas_bench_201_cost,
        ),
        BenchmarkSpace(
            nats_size.NOTATION,
            "the size space of NATS-Bench",
            90,
            nats_size.EDGES,
            tuple(map(str, nats_size.WIDTHS)),
            ":".join,
            _nats_size_cost,
        ),
    )
}
"""Spaces of the benchmarks by notation."""
