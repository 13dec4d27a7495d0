"""Genotype strings of recurrent cells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.architecture.cell import Link
from nas.spaces.genotype_file import load_genotype, save_genotype
from nas.spaces.notation import native_string, parse_genotype
from nas.spaces.recurrent.notation import CELL, NOTATION
from nas.utils.errors import NasError

TEXT = "Genotype(recurrent=[('tanh', 0), ('relu', 1), ('identity', 0)], concat=[2, 3])"


def test_string_round_trips() -> None:
    genotype = parse_genotype(TEXT)
    assert genotype.space == NOTATION
    assert genotype.cells[CELL].links == (Link("tanh", 0, 1), Link("relu", 1, 2), Link("identity", 0, 3))
    assert genotype.cells[CELL].output == (2, 3)
    assert native_string(genotype) == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "Genotype(recurrent=[('tanh', 0), ('relu', 1), ('identity', 0)], concat=range(2, 4))",
        "Genotype( recurrent = [('tanh', 0), ('relu', 1), ('identity', 0)], concat=(2, 3))",
        "DARTS = Genotype(concat=[2, 3], recurrent=[('tanh', 0), ('relu', 1), ('identity', 0)])",
        "01/02 03:04:05 PM Genotype(recurrent=[('tanh', 0), ('relu', 1), ('identity', 0)], concat=range(2, 4))",
        "{'recurrent': [['tanh', 0], ['relu', 1], ['identity', 0]], 'concat': [2, 3]}",
    ],
)
def test_notations_of_the_authors_are_read(text: str, tmp_path: Path) -> None:
    assert load_genotype(text) == parse_genotype(TEXT)
    (tmp_path / "log.txt").write_text(f"first line\n{text}\n")
    assert load_genotype(tmp_path / "log.txt") == parse_genotype(TEXT)


def test_genotype_file_round_trips(tmp_path: Path) -> None:
    save_genotype(parse_genotype(TEXT), tmp_path / "genotype.json")
    assert json.loads((tmp_path / "genotype.json").read_text())["native"] == TEXT
    assert load_genotype(tmp_path) == parse_genotype(TEXT)


def test_all_nodes_form_the_output_by_default() -> None:
    assert parse_genotype("Genotype(recurrent=[('tanh', 0), ('relu', 1)])").cells[CELL].output == (1, 2)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Genotype(recurrent=[('tanh', 1)])", "node 1 reads node 1. It may read nodes 0 to 0"),
        ("Genotype(recurrent=[('tanh', -1)])", "reads node -1"),
        ("Genotype(recurrent=[('none', 0)])", "unknown op 'none'"),
        ("Genotype(recurrent=[('skip_connect', 0)])", "Choose from tanh, relu, sigmoid, identity"),
        ("Genotype(recurrent=[('tanh', 0.5)])", "is not a pair"),
        ("Genotype(recurrent=[])", "must list 1 to 100 pairs"),
        ("Genotype(recurrent=3)", "must list 1 to 100 pairs"),
        ("Genotype(recurrent=[('tanh', 0)], concat=[0])", "concat must list nodes of the cell, 1 to 1"),
        ("Genotype(recurrent=[('tanh', 0)], concat=range(1, 9))", "concat must list nodes"),
        ("Genotype(recurrent=[('tanh', 0)", "not a recurrent genotype"),
        ("Genotype(concat=[1])", "must list 1 to 100 pairs"),
    ],
)
def test_malformed_string_is_refused_in_one_line(text: str, phrase: str) -> None:
    with pytest.raises(NasError) as error:
        parse_genotype(text)
    assert phrase in str(error.value) and "\n" not in str(error.value)
