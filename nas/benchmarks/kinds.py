"""The spaces with a benchmark: how it spells an architecture and what its network costs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.cells import Genotype, describe
from nas.errors import NasError
from nas.spaces import nas_bench_201
from nas.spaces.space import Shape

DATASETS: Mapping[str, tuple[Shape, int]] = {
    "cifar10": ((3, 32, 32), 10),
    "cifar100": ((3, 32, 32), 100),
    "imagenet16_120": ((3, 16, 16), 120),
}
"""The data sets of the benchmarks, with the shape of an image and the number of classes."""
WIDTHS = tuple(str(8 * n) for n in range(1, 9))


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
                f"{describe(cell.links)}: not an architecture of {self.title}, which has one of {', '.join(self.ops)} "
                f"on each of {', '.join(f'{source}->{target}' for source, target in self.edges)}"
            )
        return tuple(found[edge] for edge in self.edges)

    def native(self, genotype: Genotype) -> str:
        """The benchmark's name of an architecture. Raises NasError where it is not of this space."""
        return self.spell(self.choice(genotype))


def _topology(ops: Iterable[str]) -> str:
    return nas_bench_201.native(nas_bench_201.from_ops(tuple(ops)))


def _topology_cost(ops: tuple[str, ...], shape: Shape, classes: int) -> tuple[int, int]:
    return nas_bench_201.cost(nas_bench_201.from_ops(ops), shape, classes)


def _size_cost(ops: tuple[str, ...], shape: Shape, classes: int) -> tuple[int, int]:
    """Three cells of five 3x3 convolutions and a skip connection, which is a 1x1 convolution where the width changes.

    Between them stand residual blocks that halve the sides. The stem is as wide as the first cell.
    """
    widths = [int(op) for op in ops]
    pixels = shape[1] * shape[2]
    parts = [_convolution(3, shape[0], widths[0], pixels)]
    for layer, (inputs, outputs) in enumerate(zip([widths[0], *widths], widths, strict=False)):
        if layer in (1, 3):
            pixels //= 4
            shortcut = inputs * outputs  # without batch norm
            parts += [_convolution(3, n, outputs, pixels) for n in (inputs, outputs)] + [(shortcut, shortcut * pixels)]
        else:
            parts += [_convolution(3, inputs, outputs, pixels)] * 2 + [_convolution(3, outputs, outputs, pixels)] * 3
            parts += [_convolution(1, inputs, outputs, pixels)] if inputs != outputs else []
    linear = (widths[-1] + 1) * classes
    parts += [(2 * widths[-1], 0), (linear, linear)]
    return sum(p for p, _ in parts), sum(m for _, m in parts)


def _convolution(kernel: int, inputs: int, outputs: int, pixels: int) -> tuple[int, int]:
    """Parameters, with those of the batch norm behind it, and multiply-adds."""
    weights = kernel**2 * inputs * outputs
    return weights + 2 * outputs, weights * pixels


KINDS: Mapping[str, Kind] = {
    kind.notation: kind
    for kind in (
        Kind(
            nas_bench_201.NasBench201.notation,
            "NAS-Bench-201",
            200,
            nas_bench_201.EDGES,
            nas_bench_201.OPS,
            _topology,
            _topology_cost,
        ),
        Kind(
            "nats_size",
            "the size space of NATS-Bench",
            90,
            tuple((node, node + 1) for node in range(5)),
            WIDTHS,
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
