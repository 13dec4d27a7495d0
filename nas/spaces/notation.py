"""Native strings of all spaces: recognition, parsing and formatting."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from nas.architecture.cell import Genotype
from nas.spaces.darts import notation as darts
from nas.spaces.nas_bench_201 import notation as nas_bench_201
from nas.spaces.nats_size import notation as nats_size
from nas.spaces.single_path import mobilenet_v2, shufflenet_v2
from nas.utils.errors import NasError

FORMATTERS: Mapping[str, Callable[[Genotype], str]] = {
    space.NOTATION: space.native for space in (nas_bench_201, darts, nats_size, mobilenet_v2, shufflenet_v2)
}
"""The function that writes a genotype, by the notation of its space."""
PARSERS: Mapping[re.Pattern[str], Callable[[str], Genotype]] = {
    re.compile(r"\|"): nas_bench_201.parse,
    re.compile(r"Genotype\("): darts.parse,
    re.compile(f"(?:{nats_size.PATTERN.pattern})$"): nats_size.parse,
    re.compile(f"{mobilenet_v2.NOTATION}:"): mobilenet_v2.parse,
    re.compile(f"{shufflenet_v2.NOTATION}:"): shufflenet_v2.parse,
}
"""The parser of a native string, by a pattern that its beginning matches."""
EXAMPLES = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|, 8:16:24:32:40 or Genotype(normal=[...], reduce=[...])"
"""Examples of notations for error messages."""


def is_native_string(text: str) -> bool:
    """Return whether ``text`` begins like a native string, as opposed to a path or a name."""
    return any(pattern.match(text.strip()) for pattern in PARSERS)


def parse_genotype(text: str) -> Genotype:
    """Parse a native string of any space. Raises NasError if it matches no notation."""
    text = text.strip()
    for pattern, parse_space in PARSERS.items():
        if pattern.match(text):
            return parse_space(text)
    raise NasError(f"genotype={text}: not a genotype. Give a run directory, a genotype.json, {EXAMPLES}.")


def native_string(genotype: Genotype) -> str:
    """Return the genotype in the notation of its space, or as a list of links if the space has no notation."""
    if genotype.space in FORMATTERS:
        return FORMATTERS[genotype.space](genotype)
    return repr({name: [tuple(link) for link in cell.links] for name, cell in genotype.cells.items()})
