"""Tests of the strings and indices of NATS-Bench's size space."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from nas.architecture.cell import Genotype, Link
from nas.spaces.genotype_file import load_genotype
from nas.spaces.nas_bench_201.notation import from_index as nas_bench_201_from_index
from nas.spaces.nats_size.notation import from_index, from_widths, native, parse, to_index, widths_of
from nas.utils.errors import NasError

SMALL = (2, 3, 5, 8)


def test_indices_are_lexicographic() -> None:
    for index, widths in enumerate(itertools.product(SMALL, repeat=5)):
        assert widths_of(from_index(index, SMALL)) == widths and to_index(from_widths(widths), SMALL) == index
    assert native(from_index(0)) == "8:8:8:8:8" and native(from_index(32767)) == "64:64:64:64:64"
    assert native(from_index(284)) == "8:8:40:32:40"
    for wrong in (-1, 32768):
        with pytest.raises(NasError, match="0 to 32767"):
            from_index(wrong)
    with pytest.raises(NasError, match="unknown width 9"):
        to_index(parse("8:9:8:8:8"))


@pytest.mark.parametrize("text", ["8:8:8:8", "8:8:8:8:8:8", "8:8:0:8:8", "8:8:08:8:8", "8:-8:8:8:8", "8:a:8:8:8"])
def test_parse_refuses_malformed_strings(text: str) -> None:
    with pytest.raises(NasError, match="8:16:24:32:40"):
        parse(text)
    with pytest.raises(NasError, match="8:16:24:32:40"):
        load_genotype(text)


@pytest.mark.parametrize("links", [(), tuple(from_index(3).cells["cell"].links[:4]), (("x", 0, 1),) * 5])
def test_widths_of_refuses_malformed_genotypes(links: Any) -> None:
    cell = from_index(3).cells["cell"]
    with pytest.raises(NasError, match="one width"):
        widths_of(Genotype("nats_size", {"cell": cell._replace(links=tuple(map(Link._make, links)))}))
    with pytest.raises(NasError, match="^genotype=8:8:8:8:5000: at most 4096 channels per layer"):
        widths_of(from_widths((8, 8, 8, 8, 5000)))
    with pytest.raises(NasError, match="no widths"):
        widths_of(nas_bench_201_from_index(3))
