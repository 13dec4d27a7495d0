"""The native notations of the spaces, found by their look."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.cells import Genotype
from nas.errors import NasError
from nas.spaces import darts, darts_notation, nas_bench_201

NATIVE: Mapping[str, Callable[[Genotype], str]] = {
    nas_bench_201.NasBench201.notation: nas_bench_201.native,
    darts.Darts.notation: darts_notation.native,
}


def parse(text: str) -> Genotype:
    """The genotype that a native string stands for. Raises NasError where no notation fits."""
    text = text.strip()
    if text.startswith("|"):
        return nas_bench_201.parse(text)
    if text.startswith("Genotype("):
        return darts_notation.parse(text)
    raise NasError(
        f"'{text}' is no genotype: expected a run directory, a genotype.json, |op~0|+|op~0|op~1|+|op~0|op~1|op~2| "
        "or Genotype(normal=[...], reduce=[...])"
    )


def native(genotype: Genotype) -> str:
    """The genotype in the notation of its space, or a plain list of links where it has none."""
    if genotype.space in NATIVE:
        return NATIVE[genotype.space](genotype)
    return repr({name: [tuple(link) for link in cell.links] for name, cell in genotype.cells.items()})
