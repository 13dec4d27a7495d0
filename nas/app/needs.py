"""What a method asks of a space, in the key ``needs`` of its configuration."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from nas.errors import NasError
from nas.spaces.space import Space


def refuse_unmet_needs(method: DictConfig, options: DictConfig, space: Space) -> None:
    """Raises NasError where a method means nothing on a space.

    ``needs.ops`` lists ops that must be candidates somewhere; any other key is an option of the space that must have
    this value.
    """
    needs: dict[str, Any] = dict(method.get("needs") or {})
    ops = {op for cell in space.cells.values() for op in cell.ops}
    for op in needs.pop("ops", []):
        if op not in ops:
            raise NasError(f"method={method.name} is about {op}, which space '{space.name}' does not have")
    for key, value in needs.items():
        if key not in options:
            raise NasError(
                f"method={method.name} needs space.{key}={value}, which space '{space.name}' does not have "
                f"(the cells it searches: {', '.join(space.cells)})"
            )
        if options[key] != value:
            raise NasError(f"method={method.name} needs space.{key}={value}, not {options[key]}")
