"""Limits of a search in genotype.json: writing, reading, files without them, damaged files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.spaces.genotype_budget import read_budget
from nas.spaces.genotype_file import encode_genotype, load_genotype, save_genotype
from nas.spaces.nas_bench_201.notation import from_index, native
from nas.utils.errors import NasError

GENOTYPE = from_index(1234)
BUDGET = {"macs": {"value": 58_104_330, "limit": 60_000_000}, "latency_ms": {"value": 3.5, "limit": 4}}


def test_limits_are_read_from_the_file_and_from_its_directory(tmp_path: Path) -> None:
    save_genotype(GENOTYPE, tmp_path / "genotype.json", BUDGET)
    assert read_budget(tmp_path) == read_budget(tmp_path / "genotype.json") == BUDGET
    assert load_genotype(tmp_path) == GENOTYPE
    assert json.loads((tmp_path / "genotype.json").read_text())["version"] == 1


def test_other_sources_have_no_limits(tmp_path: Path) -> None:
    save_genotype(GENOTYPE, tmp_path / "genotype.json")
    assert "budget" not in encode_genotype(GENOTYPE)
    (tmp_path / "log.txt").write_text(f"genotype {native(GENOTYPE)}\n")
    (tmp_path / "list.json").write_text("[1]")
    for source in (
        tmp_path,
        tmp_path / "log.txt",
        tmp_path / "list.json",
        native(GENOTYPE),
        "DARTS_V2",
        tmp_path / "x",
    ):
        assert read_budget(source) == {}


@pytest.mark.parametrize(
    "budget",
    [3, ["macs"], {"macs": 3}, {"macs": {"value": 3}}, {"macs": {"value": True, "limit": 3}}]
    + [{"macs": {"value": -1, "limit": 3}}, {"a b": {"value": 1, "limit": 3}}, {"macs": {"value": 1, "limit": "3"}}],
)
def test_damaged_limits_are_refused(budget: Any, tmp_path: Path) -> None:
    (tmp_path / "genotype.json").write_text(json.dumps({**encode_genotype(GENOTYPE), "budget": budget}))
    with pytest.raises(NasError, match="genotype.json is damaged: every cost of 'budget' needs"):
        read_budget(tmp_path)
