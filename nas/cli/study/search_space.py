"""Search space of a study: swept overrides as Optuna's distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nas.cli.overrides.hydra_internals import SweptValues
from nas.utils.errors import NasError

LOG = "log"


@dataclass(frozen=True)
class SearchSpace:
    """Overrides of all trials.

    Attributes:
        fixed: overrides with a single value.
        swept: overrides with several values.
    """

    fixed: Sequence[str]
    swept: Sequence[SweptValues]

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the distribution of each swept override. Raises NasError for a tag that it does not support."""
        return {_name(values): _distribution(values) for values in self.swept}

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """Return the overrides of a trial with these parameters."""
        return [*self.fixed, *(f"{values.key}={params[_name(values)]}" for values in self.swept)]

    def grid(self) -> dict[str, list[Any]]:
        """Return all values of each swept override. Raises NasError for an interval."""
        values_of_key: dict[str, list[Any]] = {}
        for values in self.swept:
            if not values.texts:
                raise NasError(
                    f"hydra/sweeper/sampler=grid: {values.key} is an interval. Give a list or a range, or choose "
                    "another sampler."
                )
            kind: Any = _distribution(values)
            values_of_key[_name(values)] = (
                list(values.texts) if values.bounds is None else list(map(_number, values.texts))
            )
            assert all(kind._contains(kind.to_internal_repr(value)) for value in values_of_key[_name(values)])
        return values_of_key


def _name(values: SweptValues) -> str:
    return values.key.lstrip("+")


def _number(text: str) -> float:
    return float(text) if not text.lstrip("-").isdecimal() else int(text)


def _distribution(values: SweptValues) -> BaseDistribution:
    unknown = values.tags - {LOG}
    if unknown or (values.tags and values.bounds is None):
        raise NasError(f"{values.key}: the tag {sorted(values.tags)[0]} is unknown here. Use tag(log, interval(A, B)).")
    if values.bounds is None:
        return CategoricalDistribution(values.texts)
    (low, high), log = values.bounds, LOG in values.tags
    if log and low <= 0:
        raise NasError(f"{values.key}: a logarithmic scale needs values above 0, found {low}. Increase it.")
    whole = isinstance(low, int) and isinstance(high, int)
    if log and values.step not in (None, 1):
        raise NasError(f"{values.key}: a range on a logarithmic scale has no step. Use tag(log, interval(A, B)).")
    if whole:
        return IntDistribution(int(low), int(high), log=log, step=int(values.step or 1))
    return FloatDistribution(float(low), float(high), log=log, step=None if log else values.step)
