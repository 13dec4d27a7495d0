"""Genotypes within a text: lines of logs, whole logs, Python and JSON files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nas.architecture.cell import Genotype
from nas.spaces.genotype_values import WRAPPERS, genotype_of_value
from nas.spaces.nas_bench_201 import notation as nas_bench_201
from nas.utils.errors import NasError
from nas.utils.literals import read_literal

_KEYS = "|".join(("normal", "reduce", "recurrent", r"[\w/]*0_1", "NetworkSelector", *WRAPPERS))
_START = re.compile(
    r"(?<![\w.])(?:\w+\.)*Genotype\("
    r"|(?P<cell>\|\w+~\d+\|[\w~|+]*)"
    rf"|(?:OrderedDict\(|dict\()?[{{\[(]\s*(?:\(\s*)?['\"](?:{_KEYS})"
    r"|\{\s*\(\s*0,\s*1\s*\)\s*:"
    r"|(?:op_indices|genotype|arch\w{0,9})['\"]?\s*[=:]\s*(?P<indices>[(\[]\s*\d+(?:\s*,\s*\d+){5}\s*[)\]])"
)
"""Beginning of an architecture within a text."""
_CALL = re.compile(r"(?:\w+\.)*Genotype\(")
_ASSIGNMENT = re.compile(r"^(\w+)\s*(?::\s*\w+\s*)?=\s*$")
_SHOWN = 60
_MAX_SHOWN_NAMES = 5


@dataclass(frozen=True)
class FoundGenotype:
    """An architecture in a text.

    Attributes:
        genotype: the architecture.
        line: number of its first line, from 1.
        name: name of the variable to which a line of Python assigns it, None without one.
    """

    genotype: Genotype
    line: int
    name: str | None


def find_genotypes(text: str, shown: str | None = None) -> list[FoundGenotype]:
    """Return all architectures in a text, in their order.

    Recognized are strings of NAS-Bench-201, ``Genotype(...)`` and dicts of the notations of ``genotype_of_value``.

    Args:
        text: the text.
        shown: name of the text in messages; None: each architecture itself.

    Raises:
        NasError: if an architecture is malformed.
    """
    return list(_find(text, shown))


def _find(text: str, shown: str | None) -> Iterator[FoundGenotype]:
    position, line, counted = 0, 1, 0
    while (match := _START.search(text, position)) is not None:
        start = match.start("indices") if match["indices"] else match.start()
        line, counted = line + text.count("\n", counted, start), start
        label = f"{shown}, line {line}" if shown is not None else abbreviate(text[start:])
        if match["cell"]:
            genotype: Genotype | None = nas_bench_201.parse(match["cell"].rstrip("+"))
            position = match.end()
        else:
            genotype, position = _read_value(text, start, label)
        if genotype is not None:
            begin = text.rfind("\n", 0, start) + 1
            assigned = _ASSIGNMENT.match(text[begin:start])
            yield FoundGenotype(genotype, line, assigned[1] if assigned else None)


def _read_value(text: str, start: int, label: str) -> tuple[Genotype | None, int]:
    """Read the value at ``start``; return its genotype, and the position from which to search further."""
    try:
        value, end = read_literal(text, start)
    except ValueError as error:
        if _CALL.match(text, start):
            raise NasError(f"genotype={label}: cannot be read as an architecture ({error}).") from None
        return None, start + 1
    genotype = genotype_of_value(value, label)
    return genotype, start + 1 if genotype is None else end


def choose_genotype(candidates: list[FoundGenotype], shown: str, chronological: bool) -> FoundGenotype:
    """Return the architecture that a text specifies.

    It is the only one, or the last one of a log. Several architectures are ambiguous if they have different names or
    spaces, or if the text is not ``chronological``.

    Args:
        candidates: at least one architecture of the text.
        shown: name of the text in messages.
        chronological: whether later architectures replace earlier ones, as in a log.

    Raises:
        NasError: if the choice is ambiguous.
    """
    distinct = list(dict.fromkeys(entry.genotype for entry in candidates))
    if len(distinct) == 1:
        return candidates[-1]
    names = list(dict.fromkeys(entry.name for entry in candidates if entry.name is not None))
    spaces = sorted({genotype.space for genotype in distinct})
    fix = "Give one of them as a string in quotes, or in a separate file."
    if len(names) > 1:
        more = f" and {len(names) - _MAX_SHOWN_NAMES} more" if len(names) > _MAX_SHOWN_NAMES else ""
        listed = ", ".join(names[:_MAX_SHOWN_NAMES]) + more
        raise NasError(f"genotype={shown}: contains {len(distinct)} architectures, named {listed}. {fix}")
    if len(spaces) > 1:
        raise NasError(f"genotype={shown}: contains architectures of the spaces {' and '.join(spaces)}. {fix}")
    if not chronological:
        raise NasError(f"genotype={shown}: contains {len(distinct)} different architectures. {fix}")
    return candidates[-1]


def abbreviate(text: str) -> str:
    """Return the beginning of a text in one line, for messages."""
    line = " ".join(text[: 4 * _SHOWN].split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
