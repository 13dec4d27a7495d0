"""nas.utils.exit_code: exit codes of commands."""

from __future__ import annotations

import pytest

from nas.utils.errors import NasError
from nas.utils.exit_code import exit_code


def fail(error: Exception) -> None:
    raise error


def test_command_that_ends_has_the_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(lambda: "result") == 0
    assert capsys.readouterr() == ("", "")


def test_mistake_of_the_user_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(lambda: fail(NasError("key=1: out of range. Set key=0."))) == 1
    assert capsys.readouterr() == ("", "error: key=1: out of range. Set key=0.\n")


def test_other_errors_are_raised() -> None:
    with pytest.raises(ValueError, match="a fault"):
        exit_code(lambda: fail(ValueError("a fault")))
