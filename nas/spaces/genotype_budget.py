"""Limits of a search and the costs of its genotype, as recorded in genotype.json."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.spaces.genotype_file import FORMAT, MAX_BYTES, genotype_path
from nas.spaces.notation import is_native_string
from nas.utils.errors import NasError
from nas.utils.is_number import is_number
from nas.utils.read_file import read_json

MAX_COSTS = 32
CONDITIONS: Mapping[str, type] = {"batch": int, "device": str, "statistic": str}
"""Conditions of a predicted latency and their types; files of earlier versions do not have them."""


def read_budget(source: str | Path) -> dict[str, dict[str, Any]]:
    """Return ``value``, ``limit`` and ``CONDITIONS`` of each limited cost, empty for genotypes without limits.

    Values are those of the final network of the search. Strings, published names, files of other notations and files
    of earlier versions record no limits.

    Args:
        source: value of ``genotype=``, as for ``load_genotype``.

    Raises:
        NasError: if the record is damaged.
    """
    text = str(source).strip()
    path = genotype_path(text)
    if is_native_string(text) or not os.path.isfile(path):
        return {}
    try:
        value = read_json(path, MAX_BYTES)
    except (OSError, ValueError):
        return {}
    budget = value.get("budget") if isinstance(value, dict) and value.get("format") == FORMAT else None
    return {} if budget is None else _decode(budget, path)


def _decode(budget: Any, path: Path) -> dict[str, dict[str, Any]]:
    valid = isinstance(budget, dict) and len(budget) <= MAX_COSTS
    if not valid or not all(re.fullmatch(r"[\w.]{1,80}", name) and _is_cost(cost) for name, cost in budget.items()):
        raise NasError(f"{path} is damaged: every cost of 'budget' needs the numbers 'value' and 'limit'.")
    return {
        name: {
            "value": cost["value"],
            "limit": cost["limit"],
            **{key: cost[key] for key, kind in CONDITIONS.items() if type(cost.get(key)) is kind},
        }
        for name, cost in budget.items()
    }


def _is_cost(cost: Any) -> bool:
    numbers = [cost.get("value"), cost.get("limit")] if isinstance(cost, Mapping) else [None]
    return all(is_number(number) and number >= 0 for number in numbers)
