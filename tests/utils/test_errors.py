"""Tests of error messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.utils.errors import NasError, one_line, unknown


def test_unknown_suggests_the_nearest_choice() -> None:
    error = unknown("op", "pol", ["pool", "conv"])
    assert isinstance(error, NasError)
    assert str(error) == "unknown op 'pol': did you mean 'pool'? Choose from conv, pool."


def test_unknown_without_choices() -> None:
    assert str(unknown("op", "x", [])) == "unknown op 'x': there are no choices"


def test_unknown_lists_at_most_three_of_many_choices() -> None:
    message = str(unknown("op", "conv_7", [f"conv_{i}x{i}" for i in range(50)]))
    assert message.endswith("?") and message.count("conv_") == 4


def test_one_line_joins_lines() -> None:
    assert one_line("a\n  b\tc ") == "a b c"


def test_one_line_has_no_number_of_a_system_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        (tmp_path / "table.json").read_bytes()
    assert one_line(raised.value) == f"No such file or directory: '{tmp_path / 'table.json'}'"
    assert one_line(ValueError("[Errno 2] x")) == "[Errno 2] x"
