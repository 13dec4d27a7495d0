"""Strings of the choices inside a user's model."""

from __future__ import annotations

import pytest

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.spaces.choices_notation import native, parse
from nas.spaces.genotype_file import load_genotype, save_genotype
from nas.spaces.notation import native_string, parse_genotype
from nas.utils.errors import NasError

GENOTYPE = Genotype(
    "choices",
    {
        "stem": CellGenotype((Link("Conv2d_0", 0, 1),), (1,)),
        "merge": CellGenotype((Link("0-2", 0, 1),), (1,)),
        "node": CellGenotype((Link("conv3", 2, 3), Link("skip.x", 0, 3)), (3,)),
        "single": CellGenotype((Link("conv3", 1, 2),), (2,)),
    },
)
TEXT = "choices:stem:Conv2d_0/merge:0-2/node:conv3@2+skip.x@0:3/single:conv3@1:2"


def test_strings_round_trip(tmp_path: object) -> None:
    assert native(GENOTYPE) == native_string(GENOTYPE) == TEXT
    assert parse(TEXT) == parse_genotype(f" {TEXT} ") == load_genotype(TEXT) == GENOTYPE


def test_files_round_trip(tmp_path) -> None:  # type: ignore[no-untyped-def]
    save_genotype(GENOTYPE, tmp_path / "genotype.json")
    assert load_genotype(tmp_path) == GENOTYPE


@pytest.mark.parametrize(
    "text", ["choices:a:b/a:c", "choices:a", "choices:a:b/", "choices:a:b@0", "choices:a:b@0+c:2", "choices:a b:c"]
)
def test_malformed_strings_are_one_line(text: str) -> None:
    with pytest.raises(NasError, match="is malformed or repeated"):
        parse(text)
