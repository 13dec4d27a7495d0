"""The native notations of the spaces, found by their look."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.cells import Genotype
from nas.errors import NasError
from nas.spaces import darts, nas_bench_201, nats_size

NATIVE: Mapping[str, Callable[[Genotype], str]] = {
    nas_bench_201.NasBench201.notation: nas_bench_201.native,
    darts.Darts.notation: darts.native,
    nats_size.NOTATION: nats_size.native,
}
LOOKS = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|, 8:16:24:32:40 or Genotype(normal=[...], reduce=[...])"
"""Examples of all notations, for messages."""


def is_native(text: str) -> bool:
    """Whether a text looks like a genotype in one of the notations, rather than like a path."""
    return text.strip().startswith(("|", "Genotype(")) or nats_size.LOOK.fullmatch(text) is not None


def parse(text: str) -> Genotype:
    """The genotype that a native string stands for. Raises NasError where no notation fits."""
    text = text.strip()
    if text.startswith("|"):
        return nas_bench_201.parse(text)
    if text.startswith("Genotype("):
        return darts.parse(text)
    if is_native(text):
        return nats_size.parse(text)
    raise NasError(f"'{text}' is no genotype: expected a run directory, a genotype.json, {LOOKS}")


def native(genotype: Genotype) -> str:
    """The genotype in the notation of its space, or a plain list of links where it has none."""
    if genotype.space in NATIVE:
        return NATIVE[genotype.space](genotype)
    return repr({name: [tuple(link) for link in cell.links] for name, cell in genotype.cells.items()})
