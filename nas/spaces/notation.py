"""Native strings of all spaces: recognition, parsing and formatting."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from nas.architecture.cell import Genotype
from nas.spaces import choices_notation, generic_notation
from nas.spaces.check_inputs import require_text
from nas.spaces.darts import notation as darts
from nas.spaces.genotype_text import abbreviate, choose_genotype, find_genotypes
from nas.spaces.genotype_values import genotype_of_value
from nas.spaces.nas_bench_1shot1 import notation as nas_bench_1shot1
from nas.spaces.nas_bench_101 import notation as nas_bench_101
from nas.spaces.nas_bench_201 import notation as nas_bench_201
from nas.spaces.nats_size import notation as nats_size
from nas.spaces.recurrent import notation as recurrent
from nas.spaces.single_path import mobilenet_v2, shufflenet_v2
from nas.spaces.trans_nas_bench_101 import macro_notation, micro_notation
from nas.utils.errors import NasError
from nas.utils.literals import read_literal

FORMATTERS: Mapping[str, Callable[[Genotype], str]] = {
    space.NOTATION: space.native
    for space in (
        nas_bench_101,
        nas_bench_1shot1,
        nas_bench_201,
        darts,
        recurrent,
        nats_size,
        mobilenet_v2,
        shufflenet_v2,
        macro_notation,
        micro_notation,
        choices_notation,
    )
}
"""The function that writes a genotype, by the notation of its space."""
PARSERS: Mapping[re.Pattern[str], Callable[[str], Genotype]] = {
    re.compile(r"\|"): nas_bench_201.parse,
    re.compile(r"Genotype\(\s*(?:recurrent|concat)\s*="): recurrent.parse,
    re.compile(r"Genotype\("): darts.parse,
    re.compile(r"ModelSpec\("): nas_bench_101.parse,
    nas_bench_1shot1.PATTERN: nas_bench_1shot1.parse,
    re.compile(f"(?:{nats_size.PATTERN.pattern})$"): nats_size.parse,
    re.compile(f"{mobilenet_v2.NOTATION}:"): mobilenet_v2.parse,
    re.compile(f"{shufflenet_v2.NOTATION}:"): shufflenet_v2.parse,
    macro_notation.PATTERN: macro_notation.parse,
    micro_notation.PATTERN: micro_notation.parse,
    choices_notation.PATTERN: choices_notation.parse,
    generic_notation.PATTERN: generic_notation.parse,
}
"""The parser of a native string, by a pattern that its beginning matches."""
MAX_SHOWN = 2000
"""Characters of a string up to which a message contains all of it."""
EXAMPLES = (
    "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|, 8:16:24:32:40, Genotype(normal=[...], reduce=[...]), "
    "Genotype(recurrent=[...], concat=[...]), ModelSpec(matrix=[...], ops=[...]), 64-41414-1_02_333 or 64-1234-basic"
)
"""Examples of notations for error messages."""


def is_native_string(text: str) -> bool:
    """Return whether ``text`` begins like a native string, as opposed to a path or a name."""
    return any(pattern.match(text.strip()) for pattern in PARSERS)


def parse_genotype(text: str) -> Genotype:
    """Parse a native string of any space, or a string with an architecture in the notation of another program.

    Raises NasError if it matches no notation.
    """
    require_text(text)
    text = text.strip()
    shown = text if len(text) <= MAX_SHOWN else abbreviate(text)
    for pattern, parse_space in PARSERS.items():
        if pattern.match(text):
            try:
                return parse_space(text)
            except NasError as error:  # its message may contain the text
                raise NasError(str(error).replace(text, shown)) from None
    genotype = find_other_notation(text)
    if genotype is None:
        raise NasError(f"genotype={shown}: not a genotype. Give a run directory, a genotype.json, {EXAMPLES}.")
    return genotype


def find_other_notation(text: str) -> Genotype | None:
    """Return the architecture in a string that is no native string, such as a line of a log; None without one.

    The string may be a dict, list or tuple in a notation of ``genotype_of_value``, or contain one architecture.

    Raises:
        NasError: if the architecture is malformed, or there are several.
    """
    shown = abbreviate(text)
    try:
        value, end = read_literal(text)
    except ValueError:
        value, end = None, 0
    if end and not text[end:].strip():
        genotype = genotype_of_value(value, shown)
        if genotype is not None:
            return genotype
    genotypes = find_genotypes(text)
    return choose_genotype(genotypes, shown, chronological=False).genotype if genotypes else None


def native_string(genotype: Genotype) -> str:
    """Return the genotype in the notation of its space; in the generic one if the space has none."""
    return FORMATTERS.get(genotype.space, generic_notation.native)(genotype)
