"""Tests of genotype files: damaged and missing files raise one helpful line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.spaces.genotype_file import encode_genotype, load_genotype, save_genotype
from nas.spaces.notation import FORMATTERS, parse_genotype
from nas.spaces.registry import space_of
from nas.utils.errors import NasError

BENCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
PAIRS = "[('sep_conv_3x3', 1), ('skip_connect', 0)" + ", ('max_pool_3x3', 0), ('dil_conv_5x5', 2)" * 3 + "]"
DARTS = f"Genotype(normal={PAIRS}, normal_concat=[2, 3, 4, 5], reduce={PAIRS}, reduce_concat=range(3, 6))"

# Name, edit of a valid genotype.json, and expected message.
DAMAGE: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("other format", lambda value: value.update(format="other"), "not a genotype file"),
    ("other version", lambda value: value.update(version=2), "has version 2, but this release reads version 1"),
    ("no version", lambda value: value.pop("version"), "has version None"),
    ("no cells", lambda value: value.pop("cells"), "is damaged"),
    ("cells of another type", lambda value: value.update(cells=[1]), "is damaged"),
    ("no output", lambda value: value["cells"]["normal"].pop("output"), "is damaged"),
    ("short link", lambda value: value["cells"]["normal"]["links"][0].pop(), "is damaged"),
    ("source is text", lambda value: value["cells"]["normal"]["links"].append(["none", "a", 2]), "is damaged"),
    ("source is infinite", lambda value: value["cells"]["normal"]["links"].append(["none", 1e999, 2]), "is damaged"),
]


@pytest.mark.parametrize(("edit", "message"), [d[1:] for d in DAMAGE], ids=[d[0] for d in DAMAGE])
def test_load_genotype_refuses_damaged_files(
    edit: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "genotype.json"
    save_genotype(parse_genotype(DARTS), file)
    value = json.loads(file.read_text())
    edit(value)
    file.write_text(json.dumps(value))
    with pytest.raises(NasError, match=f"genotype.json .*{message}") as caught:
        load_genotype(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("space", sorted(FORMATTERS))
@pytest.mark.parametrize("text", [BENCH, DARTS, "8:16:24:32:40", "mobile:" + "-".join(["k3e6"] * 19), None])
def test_cells_of_another_space_are_refused(space: str, text: str | None, tmp_path: Path) -> None:
    genotype = parse_genotype(text or BENCH)
    value = encode_genotype(genotype)
    cells = value["cells"] if text is not None else {"cell": {"links": [], "output": []}}
    (tmp_path / "genotype.json").write_text(json.dumps({**value, "space": space, "cells": cells}))
    if text is not None and genotype.space == space:
        assert load_genotype(tmp_path) == genotype
        return
    with pytest.raises(NasError) as error:
        read = load_genotype(tmp_path)
        space_of(read, (3, 32, 32), 10).check(read)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b"accuracy 93"])
def test_load_genotype_refuses_files_without_json(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "genotype.json").write_bytes(content)
    with pytest.raises(NasError, match="genotype.json: the file is not JSON"):
        load_genotype(tmp_path)


def test_message_about_a_long_string_shows_its_problem(tmp_path: Path) -> None:
    (tmp_path / "cut.txt").write_text("Genotype(normal=[" * 1000)
    with pytest.raises(NasError, match="Genotype.*") as error:
        load_genotype(tmp_path / "cut.txt")
    assert len(str(error.value)) < 1000


def test_load_genotype_refuses_missing_sources(tmp_path: Path) -> None:
    for source, message in ((tmp_path, "there is no file .*genotype.json"), ("resnet", "no file has this name")):
        with pytest.raises(NasError, match=f"genotype={source}: .*{message}.*Give a run directory"):
            load_genotype(source)
    for source in ("", "x" * 5000, "a\0b", "~nobody_of_this_name/run"):
        with pytest.raises(NasError):
            load_genotype(source)
