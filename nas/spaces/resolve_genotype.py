"""Genotypes given as an object, an architecture string or an index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

from nas.architecture.cell import Genotype
from nas.spaces.base import Space
from nas.spaces.genotype_values import genotype_of_value
from nas.spaces.notation import EXAMPLES, parse_genotype
from nas.utils.errors import NasError

GivenGenotype = Genotype | str | int | Mapping[Any, Any] | list[Any] | tuple[Any, ...]
"""A genotype, an architecture string, an index, or a value in a notation of ``genotype_of_value``."""


def resolve_genotype(given: GivenGenotype, from_index: Callable[[int], Genotype]) -> Genotype:
    """Return the genotype of any ``GivenGenotype``.

    Args:
        given: the genotype, string, index or value.
        from_index: returns the genotype of an index.

    Raises:
        NasError: if ``given`` is of another type or malformed, or there is no such index.
    """
    if isinstance(given, Genotype):
        return given
    if isinstance(given, str):
        return parse_genotype(given)
    if isinstance(given, Integral) and not isinstance(given, bool):
        return from_index(int(given))
    genotype = genotype_of_value(given)
    if genotype is None:
        raise NasError(f"genotype={given!r}: not an architecture. Give a Genotype, an index or a string: {EXAMPLES}.")
    return genotype


def genotype_in(space: Space, given: GivenGenotype) -> Genotype:
    """Return the genotype of any ``GivenGenotype``. Raises NasError if it is not a member of ``space``."""
    genotype = resolve_genotype(given, space.from_index)
    space.check(genotype)
    return genotype
