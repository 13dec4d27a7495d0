"""Checks of the values that a space takes: shape and number of classes, genotypes and their texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def require_text(text: Any) -> None:
    """Raise NasError for a genotype that is not given as text, such as None."""
    if not isinstance(text, str):
        raise NasError(f"genotype={str(text)[:80]}: not a text. Give the native string of a genotype.")


def check_data(data: Any, classes: int, shape: Sequence[int] | None = None) -> None:
    """Raise NasError if a data set differs from the space or network that is to process it.

    Args:
        data: a data module; one without the attributes ``shape`` and ``classes`` is accepted.
        classes: classes or words that the network distinguishes.
        shape: shape of its inputs, None if it is unknown.
    """
    if not (hasattr(data, "shape") and hasattr(data, "classes")):
        return
    differs = shape is not None and tuple(data.shape) != tuple(shape)
    if differs or data.classes != classes:
        name = getattr(data, "name", type(data).__name__)
        given = f"shape {tuple(data.shape)} and {data.classes} classes"
        wanted = f"{classes} classes" if shape is None else f"shape {tuple(shape)} and {classes} classes"
        raise NasError(
            f"dataset={name}: it has {given}, but the network is built for {wanted}. Build it with data.shape and "
            "data.classes."
        )
