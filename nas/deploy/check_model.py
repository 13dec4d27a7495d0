"""Validation of the content of an untrusted model.pt, before a network is built from it."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nas.architecture.cell import Genotype
from nas.spaces.base import Network, Space
from nas.utils.errors import NasError, one_line

MAX_PIXELS = 1 << 24
"""Bound of the values of an image, channels included: 3 x 2364 x 2364."""
MAX_CLASSES = 1 << 20
MAX_NAME = 1000  # characters of the name of a class
MAX_OPTION = 1 << 16
MAX_CELLS = 100
"""Bound of the cells of a network, unless its file has more tensors: the smallest cells have none."""
CELL_COUNTS = ("layers", "cells_per_stage", "depths")


def checked_shape(value: Any) -> Any:
    """Return channels, height and width, or () for a language model.

    Raises ValueError unless the numbers are positive, whole and of bounded product.
    """
    if isinstance(value, list | tuple) and not value:
        return ()
    if not isinstance(value, list | tuple) or len(value) != 3 or not all(map(_is_size, value)):
        raise ValueError("shape is not [channels, height, width]")
    if math.prod(value) > MAX_PIXELS:
        raise ValueError(f"shape {list(value)} has more than {MAX_PIXELS:,} values")
    return value[0], value[1], value[2]


def checked_classes(value: Any) -> int:
    """Return the number of classes. Raise ValueError if it is out of range."""
    if not _is_size(value) or value > MAX_CLASSES:
        raise ValueError(f"classes is not a whole number from 1 to {MAX_CLASSES:,}")
    return int(value)


def checked_numbers(name: str, value: Any, channels: int) -> tuple[float, ...] | None:
    """Return mean or std. Raise ValueError if it is not a finite number per channel, positive for std."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != channels:
        raise ValueError(f"{name} does not have a number for each of {channels} channels")
    if not all(type(number) in (int, float) and math.isfinite(number) for number in value):
        raise ValueError(f"{name} has a value that is not a finite number")
    if name == "std" and min(value) <= 0:
        raise ValueError("std has a value that is not positive")
    return tuple(map(float, value))


def checked_names(value: Any, classes: int) -> tuple[str, ...]:
    """Return the names of the classes. Raise ValueError unless there is one text per class, or none."""
    names = () if value is None else value
    if not isinstance(names, list | tuple) or len(names) not in (0, classes):
        raise ValueError(f"class_names does not have a name for each of {classes} classes")
    if not all(isinstance(name, str) and len(name) <= MAX_NAME for name in names):
        raise ValueError(f"class_names has a name that is not text of at most {MAX_NAME} characters")
    return tuple(names)


def checked_options(value: Any) -> dict[str, Any]:
    """Return the options of the network. Raise ValueError unless they map names to values, or to lists of numbers."""
    if not isinstance(value, Mapping):
        raise ValueError("options is not a mapping")
    for name, option in value.items():
        numbers = isinstance(option, list | tuple) and all(type(part) is int for part in option)
        if not isinstance(name, str) or not (numbers or isinstance(option, bool | int | float | str | None)):
            raise ValueError(f"options has a value of type {type(option).__name__}")
    return dict(value)


def checked_state(value: Any) -> dict[str, Tensor]:
    """Return the state_dict. Raise ValueError unless it maps names to tensors."""
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items()
    ):
        raise ValueError("state_dict does not map names to tensors")
    return dict(value)


def check_options(space: Space, options: Mapping[str, Any], tensors: int) -> None:
    """Raise NasError for options that the networks of a space do not have, of another type, or out of range.

    Args:
        space: space of the genotype.
        options: options of its network.
        tensors: number of tensors in the file, which bounds the number of cells.
    """
    known = space.network_options()
    hints = typing.get_type_hints(space.network)
    for name, value in options.items():
        if name not in known:
            raise NasError(
                f"option {name[:50]!a} is unknown to the networks of space={space.name}, whose options are "
                f"{', '.join(known)}."
            )
        if not _fits(value, hints.get(name)):
            raise NasError(f"option {name}={str(value)[:50]!a} has a type that the option does not accept.")
        bound = max(MAX_CELLS, tensors) if name in CELL_COUNTS else MAX_OPTION
        numbers = [value] if isinstance(value, int | float) else value if isinstance(value, list | tuple) else []
        total = sum(numbers) if name in CELL_COUNTS else max(numbers, default=0)
        if len(numbers) > MAX_CELLS or total > bound or min(numbers, default=0) < 0:
            raise NasError(f"option {name}={str(value)[:50]} is out of range, at most {bound:,}.")


def build_without_memory(space: Space, genotype: Genotype, options: Mapping[str, Any]) -> Network:
    """Build the network on the meta device, where tensors have shapes and no memory.

    Raises:
        NasError: if there is no such network.
    """
    try:
        with torch.device("meta"):
            return space.network(genotype, **options)
    except (RuntimeError, ValueError, TypeError, OverflowError, ZeroDivisionError) as error:
        raise NasError(f"weights: no network can be built with its options ({one_line(error)[:200]}).") from None


def _is_size(value: Any) -> bool:
    return type(value) is int and value > 0


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value has one of the types of a hint: single types, their unions, sequences and literals."""
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    parts = typing.get_args(hint)
    if typing.get_origin(hint) is Sequence:
        return isinstance(value, list | tuple) and all(_fits(part, parts[0]) for part in value)
    if parts:
        return any(_fits(value, part) for part in parts)
    if hint is float:
        return type(value) is int or (type(value) is float and math.isfinite(value))
    return hint in (None, Any) or type(value) is hint
