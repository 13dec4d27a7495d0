"""What a method asks of a space, in the key ``requires`` of its configuration."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from nas.spaces.base import Space
from nas.utils.errors import NasError


def refuse_unmet_needs(method: DictConfig, options: DictConfig, space: Space) -> None:
    """Raises NasError where a method means nothing on a space.

    ``requires.ops`` lists ops that must be candidates somewhere; any other key is an option of the space that must have
    this value.
    """
    requires: dict[str, Any] = dict(method.get("requires") or {})
    ops = {op for cell in space.cells.values() for op in cell.ops}
    for op in requires.pop("ops", []):
        if op not in ops:
            raise NasError(f"method={method.name} is about {op}, which space '{space.name}' does not have")
    for key, value in requires.items():
        if key not in options:
            raise NasError(
                f"method={method.name} needs space.{key}={value}, which space '{space.name}' does not have "
                f"(the cells it searches: {', '.join(space.cells)})"
            )
        if options[key] != value:
            raise NasError(f"method={method.name} needs space.{key}={value}, not {options[key]}")
