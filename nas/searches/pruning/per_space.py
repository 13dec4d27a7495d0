"""Options with a value per space, as papers give them."""

from __future__ import annotations

from collections.abc import Mapping

from nas.spaces.base import Space
from nas.utils.errors import NasError

PerSpace = int | Mapping[str, int]
"""One number, or one number per notation of a space; ``other`` is that of all other spaces."""
OTHER = "other"


def value_for_space(value: PerSpace, space: Space, option: str) -> int:
    """Return the number for a space.

    Raises:
        NasError: if there is no number for the space, or it is below 1.
    """
    if isinstance(value, Mapping):
        if space.notation not in value and OTHER not in value:
            raise NasError(
                f"{option}: there is no value for space={space.name} (notation '{space.notation}'), only for "
                f"{', '.join(value)}. Use a whole number."
            )
        value = value.get(space.notation, value.get(OTHER, 0))
    if not isinstance(value, int) or value < 1:
        raise NasError(f"{option}={value}: use a whole number of at least 1.")
    return value
