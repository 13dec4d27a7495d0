"""Checks of the values that a space takes: shape and number of classes, and genotypes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nas.architecture.cell import Genotype
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT


def checked_shape(shape: Any) -> tuple[int, ...]:
    """Return (C, H, W) of images, or () of a text. Raises NasError for any other shape."""
    sizes = tuple(shape) if isinstance(shape, Iterable) and not isinstance(shape, str) else None
    if sizes is None or len(sizes) not in (0, 3) or not all(size in COUNT for size in sizes):
        raise NasError(f"shape={shape}: use (channels, height, width) of the images, such as (3, 32, 32).")
    return sizes


def checked_classes(classes: Any) -> int:
    """Return the number of classes or words. Raises NasError unless it is a whole number of at least 1."""
    if classes not in COUNT:
        raise NasError(f"classes={classes}: use {COUNT}.")
    return int(classes)


def require_genotype(genotype: Any) -> None:
    """Raise NasError for anything but a ``Genotype``, such as its native string."""
    if not isinstance(genotype, Genotype):
        raise NasError(
            f"genotype={str(genotype)[:80]!r}: not a Genotype. Use load_genotype(TEXT) or space.parse(TEXT)."
        )
