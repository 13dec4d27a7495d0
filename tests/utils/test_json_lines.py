"""Append-only logs of lines: damaged, missing and cut-off lines."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.utils.errors import NasError
from nas.utils.json_lines import decode_object, read_log

LINES = [b'{"a": 1}\n', b'{"a": 2}\n', b'{"a": 3}\n']


def test_read_log_ignores_a_cut_off_last_line_with_a_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "log"
    assert read_log(path, decode_object) == []
    path.write_bytes(b"".join(LINES))
    with caplog.at_level(logging.INFO):
        assert read_log(path, decode_object, needed=3) == [{"a": 1}, {"a": 2}, {"a": 3}]
        assert not caplog.messages
        for cut in (b'{"a": 3', b"{", b"\xff", b'{"a": 3}'):
            path.write_bytes(b"".join(LINES[:2]) + cut)
            assert read_log(path, decode_object, needed=2) == [{"a": 1}, {"a": 2}]
            assert caplog.messages.pop() == f"ignored line 3 of {path}, which a kill has cut off"
            caplog.clear()


@pytest.mark.parametrize("bad", [b'{"a": \n', b"[1]\n", b"\n", b'{"a": "\xff"}\n', b"\x00\n", b'{"a" 1}\n', b"3\n"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_read_log_names_a_damaged_line(bad: bytes, number: int, tmp_path: Path) -> None:
    path = tmp_path / "log"
    content = b"".join([*LINES[: number - 1], bad, *LINES[number:]])
    path.write_bytes(content)
    with pytest.raises(NasError, match=f"^{path}: line {number} is damaged. Restore the file"):
        read_log(path, decode_object)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "decode",
    [
        lambda line: decode_object(line)["b"],
        lambda line: decode_object(line)["a"].strip(),
        lambda line: [][decode_object(line)["a"]],
        lambda line: int(float("inf")),
        lambda line: find_operation(line),
    ],
    ids=["missing key", "no text", "index", "infinite", "refused value"],
)
def test_read_log_names_a_line_with_unexpected_values(decode: Callable[[str], object], tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(LINES))
    with pytest.raises(NasError, match=f"^{path}: line 1 is damaged. Restore the file"):
        read_log(path, decode)


def find_operation(line: str) -> None:
    """Refuse a value, as the notation of a space does."""
    raise NasError(f"{line}: no op.")


def test_read_log_names_a_needed_line_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(LINES[:2]) + LINES[2][:4])
    with pytest.raises(NasError, match="line 3 of 3 is cut off. Fix"):
        read_log(path, decode_object, "Fix.", needed=3)
    path.write_bytes(LINES[0])
    with pytest.raises(NasError, match="line 2 of 3 is missing"):
        read_log(path, decode_object, needed=3)
