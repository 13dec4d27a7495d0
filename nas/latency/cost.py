"""Predicted latency of the final network as a cost, from the file of a table."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.latency.predictor import LatencyPredictor
from nas.latency.table_file import load_table
from nas.spaces.base import Space
from nas.utils.errors import NasError
from nas.utils.user_path import user_path

OPTION = "budget.latency_table"


def latency_cost(space: Space, path: str | Path, network: Mapping[str, Any] | None = None) -> LatencyPredictor:
    """Return the predictor of a table for the networks that will be trained.

    Args:
        space: search space.
        path: file of the table.
        network: options of these networks; others have their published values.

    Raises:
        NasError: if the table is invalid, of another space, or of networks with other options.
    """
    table = load_table(user_path(path), space, OPTION)
    measured, final = _options(space, table.network), _options(space, network or {})
    for name, value in measured.items():
        if value != final[name]:
            raise NasError(
                f"{OPTION}={path}: measured with {name}={value}, but budget.network has "
                f"{name}={final[name]}. Set budget.network as in the table, or measure another table."
            )
    try:
        return LatencyPredictor(table, space)
    except NasError as error:
        raise NasError(f"{OPTION}={path}: {str(error).removeprefix('latency table: ')}") from None


def _options(space: Space, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a network with their defaults; lists and tuples are equal."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(space.network).parameters.items()
        if name in space.network_options()
    }
    options = {**defaults, **{name: value for name, value in given.items() if value is not None}}
    return {name: list(value) if isinstance(value, list | tuple) else value for name, value in options.items()}
