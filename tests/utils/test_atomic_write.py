"""Tests of atomic file output."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path

import pytest

from nas.utils.atomic_write import write_atomically, write_json


def test_write_atomically_replaces_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_atomically(file, "first")
    write_atomically(file, b"second")
    assert file.read_text() == "second" and list(tmp_path.iterdir()) == [file]


def test_write_atomically_keeps_the_old_file_on_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.txt"
    write_atomically(file, "first")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(file, "second")
    assert file.read_text() == "first" and list(tmp_path.iterdir()) == [file]


def test_write_atomically_names_the_file_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left on device") as error:
        write_atomically(tmp_path / "a.txt", "new")
    assert error.value.filename == str(tmp_path / "a.txt") and not list(tmp_path.iterdir())


def test_write_atomically_names_the_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        write_atomically(tmp_path / "missing" / "x.md", "new")
    assert error.value.filename == str(tmp_path / "missing" / "x.md") and ".tmp" not in str(error.value)


def test_write_json_round_trip(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, 2.5, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": [1, 2.5, None]}


def test_json_has_null_instead_of_nan_and_infinities(tmp_path: Path) -> None:
    """NaN and Infinity are no JSON, and most other readers refuse them."""
    write_json(tmp_path / "a.json", {"a": math.nan, "b": [math.inf, 1.0], "c": {"d": (-math.inf, "NaN", True)}})

    def refuse(name: str) -> None:
        raise ValueError(name)

    found = json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)
    assert found == {"a": None, "b": [None, 1.0], "c": {"d": [None, "NaN", True]}}
