"""Tests of genotype strings of spaces without a published notation."""

from __future__ import annotations

import pytest

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.spaces.notation import is_native_string, native_string, parse_genotype
from nas.utils.errors import NasError

CELL = CellGenotype((Link("my_op", 0, 1), Link("none", 0, 2), Link("skip_connect", 1, 2)), (2,))
GENOTYPE = Genotype("my_space", {"cell": CELL, "other": CellGenotype((Link("a", 0, 1),), (1,))})
TEXT = (
    "my_space:{'cell': ([('my_op', 0, 1), ('none', 0, 2), ('skip_connect', 1, 2)], [2]), 'other': ([('a', 0, 1)], [1])}"
)


def test_strings_are_read_without_the_space() -> None:
    assert native_string(GENOTYPE) == TEXT
    assert is_native_string(TEXT)
    assert parse_genotype(TEXT) == GENOTYPE


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (TEXT.replace("('my_op', 0, 1)", "('my_op', 0)"), "a link is not"),
        (TEXT.replace("('my_op', 0, 1)", "('my_op', 0, -1)"), "a link is not"),
        (TEXT.replace("'my_op', 0, 1", "7, 0, 1"), "a link is not"),
        (TEXT.replace("[2]", "['a']"), "the output of a cell"),
        (TEXT.replace("'other'", "'../x'"), "the name of a cell"),
        (TEXT.replace(", [1])}", ", [1])"), "is missing"),
        (f"{TEXT} more", "not one dict"),
        (TEXT.replace("'cell'", "'other'"), "occurs twice"),
    ],
)
def test_malformed_strings_raise(text: str, problem: str) -> None:
    with pytest.raises(NasError, match=problem):
        parse_genotype(text)
