"""Ranges of numeric options: their borders, their text, and the classes that declare them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from nas.utils import ranges
from nas.utils.errors import NasError
from nas.utils.ranges import Range, check_ranges, ranges_of


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "text"),
    [
        (ranges.FINITE, (-1, 0.0, 3e38), (math.nan, math.inf, 1e39, 10**400, True, "1", None), "a finite number"),
        (ranges.POSITIVE, (1e-45, 1), (0, -1e-9, math.nan), "a number above 0"),
        (ranges.NOT_NEGATIVE, (0, 0.5), (-1e-9, math.inf), "a number of at least 0"),
        (ranges.PROBABILITY, (0, 1, 0.5), (-0.1, 1.1), "a number from 0 to 1"),
        (ranges.DROP_PROBABILITY, (0, 0.99), (1, -1), "a number from 0 to below 1"),
        (ranges.FRACTION, (0.01, 1), (0, 1.01), "a number above 0 and at most 1"),
        (Range(0, 1, above=True, below=True), (0.5,), (0, 1), "a number above 0 and below 1"),
        (ranges.COUNT, (1, 10**9), (0, 1.0, 10**9 + 1), "a whole number from 1 to 1,000,000,000"),
        (Range(high=3), (-5, 3), (4,), "a number of at most 3"),
    ],
    ids=str,
)
def test_range_contains_its_numbers(allowed: Range, inside: Any, outside: Any, text: str) -> None:
    assert [value for value in inside if value not in allowed] == []
    assert [value for value in outside if value in allowed] == []
    assert str(allowed) == text


def test_check_ranges_applies_to_classes_dataclasses_functions_and_subclasses() -> None:
    @check_ranges(tau=ranges.POSITIVE)
    class Base:
        def __init__(self, tau: float = 1.0) -> None:
            self.tau = tau

    @check_ranges(steps=ranges.COUNT)
    class Derived(Base):
        def __init__(self, steps: list[int], **options: float) -> None:
            super().__init__(**options)

    @check_ranges(share=ranges.FRACTION)
    @dataclass(frozen=True)
    class Data:
        share: float | None = None

    @check_ranges(each=ranges.PROBABILITY)
    def function(each: dict[str, float], more: int = 0) -> int:
        return more

    assert Base(2.0).tau == 2.0 and Data().share is None and function({"a": 1.0}, 3) == 3
    assert ranges_of(Derived) == {"tau": ranges.POSITIVE, "steps": ranges.COUNT} and ranges_of(Base) == {
        "tau": ranges.POSITIVE
    }
    assert ranges_of(function) == {"each": ranges.PROBABILITY} and ranges_of(int) == {}
    for build, message in [
        (partial(Base, 0), "Base: tau=0: use a number above 0."),
        (partial(Derived, [1, 0]), r"Derived: steps=\[1, 0\]: use a whole number"),
        (partial(Derived, [1], tau=-1.0), "Base: tau=-1.0: use a number above 0."),
        (partial(Base, math.inf), "Base: tau=inf: use a finite number above 0."),
        (partial(Base, 1e39), r"Base: tau=1e\+39: use a number above 0, at most 3.4e\+38."),
        (partial(Data, share=math.nan), "Data: share=nan: use"),
        (partial(function, {"a": 1.5}), "function: each="),
    ]:
        with pytest.raises(NasError, match=message):
            build()
