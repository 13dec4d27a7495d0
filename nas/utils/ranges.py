"""Ranges of numeric options: declared at the class or function that takes them, and checked at each call."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from nas.utils.errors import NasError
from nas.utils.option_choices import check_choices, choices_of, never_none

T = TypeVar("T", bound=Callable[..., Any])
MAX_COUNT = 10**9
FLOAT32_MAX = (2 - 2**-23) * 2.0**127
ATTRIBUTE = "__ranges__"


@dataclass(frozen=True)
class Range:
    """Interval of valid numbers. NaN and infinities are in no range.

    Args:
        low, high: bounds; None for no bound.
        above, below: exclude ``low``, ``high``.
        whole: accept whole numbers only.
    """

    low: float | None = None
    high: float | None = None
    above: bool = False
    below: bool = False
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral if self.whole else numbers.Real):
            return False
        try:
            number = float(value)
        except OverflowError:
            return False
        if not abs(number) <= FLOAT32_MAX:  # neither NaN nor infinite in the tensors that it is used with
            return False
        if self.low is not None and (number <= self.low if self.above else number < self.low):
            return False
        return self.high is None or (number < self.high if self.below else number <= self.high)

    def __str__(self) -> str:
        kind = "whole number" if self.whole else "number"
        if self.low is None and self.high is None:
            return f"a finite {kind}"
        if self.low is None or self.high is None:
            low = None if self.low is None else f"above {self.low:,}" if self.above else f"of at least {self.low:,}"
            return f"a {kind} {low or f'of at most {self.high:,}'}"
        low = f"above {self.low:,}" if self.above else f"from {self.low:,}"
        high = f"below {self.high:,}" if self.below else f"{self.high:,}"
        return (
            f"a {kind} {low} {'and at most' if self.above and not self.below else 'and' if self.above else 'to'} {high}"
        )


FINITE = Range()
POSITIVE = Range(0, above=True)
NOT_NEGATIVE = Range(0)
PROBABILITY = Range(0, 1)
DROP_PROBABILITY = Range(0, 1, below=True)
"""A probability of dropping, or a decay of a moving average: 1 would leave nothing."""
FRACTION = Range(0, 1, above=True)
COUNT = Range(1, MAX_COUNT, whole=True)
COUNT_OR_ZERO = Range(0, MAX_COUNT, whole=True)
CHANNELS = Range(1, 2**13, whole=True)
LAYERS = Range(1, 1000, whole=True)
CLASSES = Range(2, 10**6, whole=True)
PIXELS = Range(1, 2**14, whole=True)
PADDING = Range(0, 2**14, whole=True)
STRIDE = Range(1, 8, whole=True)
SEED = Range(0, 2**32 - 1, whole=True)


def check_ranges(**ranges: Range) -> Callable[[T], T]:
    """Decorate a class or function so that arguments outside their ranges raise NasError.

    A list or a mapping fits if all its elements fit. None fits unless the type of the argument is a number. Subclasses
    inherit the ranges of the options that they pass on. Arguments of type ``Literal`` or ``bool`` must have one of its
    values.
    """

    def decorate(target: T) -> T:
        function: Any = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
        signature = inspect.signature(function)
        name = target.__name__

        @functools.cache
        def choices() -> Mapping[str, tuple[Any, ...]]:  # later, when all types of the module are defined
            return choices_of(function)

        @functools.cache
        def numbers() -> frozenset[str]:
            return never_none(function)

        @functools.wraps(function)
        def checked(*args: Any, **options: Any) -> Any:
            given = signature.bind_partial(*args, **options).arguments
            for option in ranges.keys() & given.keys():
                check(f"{name}: {option}", given[option], ranges[option])
                if given[option] is None and option in numbers():
                    raise NasError(f"{name}: {option}=None: use {ranges[option]}.")
            check_choices(name, given, choices())
            return function(*args, **options)

        setattr(checked, ATTRIBUTE, ranges)
        if not isinstance(target, type):
            return checked  # type: ignore[return-value]
        target.__init__ = checked  # type: ignore[misc]
        setattr(target, ATTRIBUTE, {**vars(target).get(ATTRIBUTE, {}), **ranges})
        return target

    return decorate


def ranges_of(target: Any) -> dict[str, Range]:
    """Return the ranges that a class (with its bases) or a function declares, by the name of the option."""
    ranges: dict[str, Range] = {}
    for part in reversed(target.__mro__) if isinstance(target, type) else [target]:
        own = vars(part) if isinstance(part, type) else {ATTRIBUTE: getattr(part, ATTRIBUTE, None)}
        ranges |= own.get(ATTRIBUTE) or {}
    return ranges


def check(key: str, value: Any, allowed: Range) -> None:
    """Raise NasError unless ``value``, or each of its elements, is None or in a range."""
    for element in _elements(value):
        if element is not None and element not in allowed:
            raise NasError(f"{key}={value}: use {_describe(allowed, element)}.")


def check_number(key: str, value: Any, allowed: Range) -> None:
    """Raise NasError unless ``value`` is None or a single number in a range."""
    if value is not None and value not in allowed:
        raise NasError(f"{key}={value}: use {_describe(allowed, value)}.")


def _describe(allowed: Range, value: Any) -> str:
    """Return the range, with the bound of all numbers if ``value`` is beyond that one."""
    text = str(allowed)
    if not isinstance(value, float) or abs(value) <= FLOAT32_MAX or allowed.whole or allowed.high is not None:
        return text
    return text.replace("a number", "a finite number", 1) if not math.isfinite(value) else f"{text}, at most 3.4e+38"


def _elements(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
