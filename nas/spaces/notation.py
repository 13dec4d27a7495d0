"""The native notations of the spaces, found by their look."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from nas.architecture.cell import Genotype
from nas.spaces.darts import notation as darts_notation
from nas.spaces.nas_bench_201 import space as nas_bench_201
from nas.spaces.nats_size import space as nats_size
from nas.spaces.single_path import mobile, shufflenet
from nas.utils.errors import NasError

NATIVE: Mapping[str, Callable[[Genotype], str]] = {
    nas_bench_201.NasBench201.notation: nas_bench_201.native,
    darts_notation.NOTATION: darts_notation.native,
    nats_size.NOTATION: nats_size.native,
    mobile.Mobile.notation: mobile.native,
    shufflenet.ShuffleNet.notation: shufflenet.native,
}
PARSERS: Mapping[re.Pattern[str], Callable[[str], Genotype]] = {
    re.compile(r"\|"): nas_bench_201.parse,
    re.compile(r"Genotype\("): darts_notation.parse,
    re.compile(f"(?:{nats_size.LOOK.pattern})$"): nats_size.parse,
    re.compile(f"{mobile.Mobile.notation}:"): mobile.parse,
    re.compile(f"{shufflenet.ShuffleNet.notation}:"): shufflenet.parse,
}
"""How a native string begins, and what reads it."""
LOOKS = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|, 8:16:24:32:40 or Genotype(normal=[...], reduce=[...])"
"""Examples of the notations that are written by hand, for messages."""


def is_native(text: str) -> bool:
    """Whether ``text`` looks like a genotype in one of the notations, rather than like a path or a name."""
    return any(look.match(text.strip()) for look in PARSERS)


def parse(text: str) -> Genotype:
    """The genotype that a native string stands for. Raises NasError where no notation fits."""
    text = text.strip()
    for look, read in PARSERS.items():
        if look.match(text):
            return read(text)
    raise NasError(f"'{text}' is no genotype: expected a run directory, a genotype.json, {LOOKS}")


def native(genotype: Genotype) -> str:
    """The genotype in the notation of its space, or a plain list of links where it has none."""
    if genotype.space in NATIVE:
        return NATIVE[genotype.space](genotype)
    return repr({name: [tuple(link) for link in cell.links] for name, cell in genotype.cells.items()})
