"""Check that a method fits a space: the key ``requires`` of the method.

Edges, pruning and stages are checked by the objects themselves (``Space.check_edge``, the searches and callbacks).
"""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from nas.spaces.base import Space
from nas.utils.errors import NasError


def check_requirements(method: DictConfig, options: DictConfig, space: Space) -> None:
    """Raise NasError if a space lacks a requirement of a method.

    Args:
        method: the configuration of the method. ``requires.ops`` lists ops that must be candidates on some edge; any
            other key of ``requires`` is an option of the space that must have this value.
        options: the configuration of the space.
        space: the space built from ``options``.
    """
    requires: dict[str, Any] = dict(method.get("requires") or {})
    ops = {op for cell in space.cells.values() for op in cell.ops}
    for op in requires.pop("ops", []):
        if op not in ops:
            raise NasError(f"method={method.name} requires the op {op}, which space={space.name} does not provide.")
    for key, value in requires.items():
        if key not in options:
            raise NasError(
                f"method={method.name} requires space.{key}={value}, an option that space={space.name} does not have "
                f"(cells searched: {', '.join(space.cells)})."
            )
        if options[key] != value:
            raise NasError(f"space.{key}={options[key]}: method={method.name} requires space.{key}={value}.")
