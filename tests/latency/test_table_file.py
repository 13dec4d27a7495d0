"""Latency tables as files: round trip, and refusal of damaged or hostile content."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.latency.table import LatencySetup, LatencyTable
from nas.latency.table_file import load_table, save_table
from nas.spaces.darts.space import Darts
from nas.utils.errors import NasError
from tests.support.latency_tools import SPACE, make_table

SETUP = LatencySetup(batch=2, precision="bf16", threads=None, statistic="low")


@pytest.fixture
def table() -> LatencyTable:
    return make_table(networks=3, latency=lambda counts: 1.0 + sum(counts.values()), setup=SETUP)


def test_round_trip(tmp_path: Path, table: LatencyTable) -> None:
    save_table(table, SPACE, tmp_path / "t.json", {"held_out": {"sum": {"kendall": 1.0}}})
    assert load_table(tmp_path / "t.json", SPACE) == table
    assert "10 % quantile of 100 passes" in table.describe() and "batch 2, precision bf16" in table.describe()


Change = Callable[[dict[str, Any]], object]
CHANGES: dict[str, tuple[Change, str]] = {
    "format": (lambda t: t.update(format="other"), "format is not"),
    "version": (lambda t: t.update(version=2), "version 2, and this version reads 1"),
    "no setup": (lambda t: t.pop("setup"), "'setup' is missing"),
    "space": (lambda t: t.update(space="darts"), "of space 'darts', and space=nas_bench_201"),
    "shape": (lambda t: t.update(shape=[3, -1, 8]), "shape is not"),
    "classes": (lambda t: t.update(classes=1e99), "classes is not"),
    "network": (lambda t: t.update(network={"channels": 10**9}), "channels=1000000000 is out of range"),
    "option": (lambda t: t.update(network={"_target_": "os.system"}), "option '_target_' is unknown to the networks"),
    "predictor": (lambda t: t.update(predictor="pickle"), "predictor is not"),
    "backend": (lambda t: t["setup"].update(backend="x"), "unknown backend"),
    "precision": (lambda t: t["setup"].update(precision=8), "unknown precision"),
    "batch": (lambda t: t["setup"].update(batch=0), "batch"),
    "further key": (lambda t: t["setup"].update(more=1), "does not have the keys"),
    "negative": (lambda t: t["ops"][0].update(median=-1), "not a positive number"),
    "infinite": (lambda t: t["ops"][0].update(high=float("inf")), "not a positive number"),
    "order": (lambda t: t["ops"][0].update(low=99.0), "outside its interval"),
    "sizes": (lambda t: t["ops"][0].update(input=["4", 8, 8]), "not a list of sizes"),
    "genotype": (lambda t: t["networks"][0].update(genotype="|x~0|"), "genotype"),
    "texts": (lambda t: t.update(machine={"device": "a" * 5000}), "more than 1000 characters"),
    "list": (lambda t: t.update(ops=5), "not a valid latency table"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_invalid_content_is_refused_in_one_line(tmp_path: Path, table: LatencyTable, name: str) -> None:
    path, (change, expected) = tmp_path / "t.json", CHANGES[name]
    save_table(table, SPACE, path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(NasError) as error:
        load_table(path, SPACE, "budget.latency_table")
    text = str(error.value)
    assert text.startswith(f"budget.latency_table={path}: ") and expected in text and "\n" not in text


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"{", b"\x80\x04K\x01.", b"[" * 10**5], ids=["empty", "list", "cut", "pickle", "deep"]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(NasError, match=r"latency table=.*(cannot be read|not a valid)"):
        load_table(tmp_path / "t.json", SPACE)
    with pytest.raises(NasError, match="cannot be read"):
        load_table(tmp_path / "absent.json", SPACE)


def test_tables_of_another_space_are_refused(tmp_path: Path, table: LatencyTable) -> None:
    save_table(table, SPACE, tmp_path / "t.json")
    with pytest.raises(NasError, match="of space 'nas_bench_201', and space=darts is another one"):
        load_table(tmp_path / "t.json", Darts((3, 8, 8), 4))
