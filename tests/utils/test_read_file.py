"""nas.utils.read_file: contents, special files, sizes and depths."""

from __future__ import annotations

import math
import os
import socket
from pathlib import Path

import pytest

from nas.utils.read_file import parse_json, read_bytes, read_json, read_text


def test_read_file_returns_the_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes('{"a": [1, "é"]}'.encode())
    (tmp_path / "link").symlink_to(path)
    assert read_bytes(path) == path.read_bytes() and read_text(tmp_path / "link") == '{"a": [1, "é"]}'
    assert read_json(path) == {"a": [1, "é"]} and len(read_bytes(path, 16)) == 16


def test_read_file_refuses_special_files_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for name in ("pipe", "zero", "socket", "", "missing"):
            with pytest.raises(OSError) as error:
                read_bytes(tmp_path / name)
            assert str(tmp_path) in str(error.value), "the file is named"


def test_read_file_refuses_size_encoding_and_depth(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    with pytest.raises(ValueError, match="more than 4 bytes"):
        read_text(path, 4)
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="utf-8"):
        read_text(path)
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(path)


def test_parse_json_has_no_integer_that_float_cannot_represent() -> None:
    assert parse_json(f"[{'9' * 300}]") == [10**300 - 1]
    assert parse_json(f"[-{'9' * 400}, {'9' * 5000}]") == [-math.inf, math.inf]
