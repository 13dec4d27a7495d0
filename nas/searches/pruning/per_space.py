"""Numbers that a method's paper gives for each space."""

from __future__ import annotations

from collections.abc import Mapping

from nas.spaces.base import Space
from nas.utils.errors import NasError

PerSpace = int | Mapping[str, int]
"""One number, or one for each notation of a space."""


def of_space(value: PerSpace, space: Space, option: str) -> int:
    """The number for a space. Raises NasError where there is none, or it is below 1."""
    if isinstance(value, Mapping):
        if space.notation not in value:
            raise NasError(
                f"{option} says nothing of space '{space.name}' (notation '{space.notation}'): it knows "
                f"{', '.join(value)}; give one whole number"
            )
        value = value[space.notation]
    if not isinstance(value, int) or value < 1:
        raise NasError(f"{option}={value}: give a whole number, at least 1")
    return value
