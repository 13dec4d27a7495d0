"""The native notations of the spaces, found by their look."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.cells import Genotype
from nas.errors import NasError
from nas.spaces import darts_notation, mobile, nas_bench_201, shufflenet

NATIVE: Mapping[str, Callable[[Genotype], str]] = {
    nas_bench_201.NasBench201.notation: nas_bench_201.native,
    darts_notation.NOTATION: darts_notation.native,
    mobile.Mobile.notation: mobile.native,
    shufflenet.ShuffleNet.notation: shufflenet.native,
}
PARSERS: Mapping[str, Callable[[str], Genotype]] = {
    "|": nas_bench_201.parse,
    "Genotype(": darts_notation.parse,
    f"{mobile.Mobile.notation}:": mobile.parse,
    f"{shufflenet.ShuffleNet.notation}:": shufflenet.parse,
}
"""How a native string begins, and what reads it."""


def is_native(text: str) -> bool:
    """Whether ``text`` begins like a native string."""
    return text.strip().startswith(tuple(PARSERS))


def parse(text: str) -> Genotype:
    """The genotype that a native string stands for. Raises NasError where no notation fits."""
    text = text.strip()
    for beginning, read in PARSERS.items():
        if text.startswith(beginning):
            return read(text)
    raise NasError(
        f"'{text}' is no genotype: expected a run directory, a genotype.json, |op~0|+|op~0|op~1|+|op~0|op~1|op~2| "
        "or Genotype(normal=[...], reduce=[...])"
    )


def native(genotype: Genotype) -> str:
    """The genotype in the notation of its space, or a plain list of links where it has none."""
    if genotype.space in NATIVE:
        return NATIVE[genotype.space](genotype)
    return repr({name: [tuple(link) for link in cell.links] for name, cell in genotype.cells.items()})
