from __future__ import annotations

from collections.abc import Sequence

import pytest

from nas.utils.errors import NasError
from nas.utils.one_line_errors import one_line_errors


def during(cause: BaseException, error: BaseException) -> BaseException:
    """Return an error that was raised while another one was handled."""
    error.__context__ = cause
    return error


def run(error: BaseException | None, arguments: Sequence[str] | None = ()) -> int:
    @one_line_errors
    def main(arguments: Sequence[str] | None = None) -> int:
        if error is not None:
            raise error
        return len(arguments or ())

    return main(arguments)


def test_exit_code_is_that_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["program", "a", "b", "c"])
    assert run(None, ["x"]) == 1 and run(None, []) == 0 and run(None, None) == 3


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (NasError("key=1: wrong.\nUse 2."), 1, "error: key=1: wrong. Use 2."),
        (KeyboardInterrupt(), 130, "error: interrupted. Run the command again."),
        (during(KeyboardInterrupt(), AttributeError("flags")), 130, "error: interrupted. Run the command again."),
        (FileNotFoundError(2, "No such file", "a.json"), 1, "error: a.json: no such file. Choose another file or"),
        (OSError(22, "not a regular file", "a"), 1, "error: a: not a regular file. Choose another file or directory."),
        (OSError("no access"), 1, "error: no access"),
        (MemoryError(), 1, "error: the memory of this machine is exhausted"),
        (KeyError("width"), 1, "error: unexpected KeyError: 'width' in test_one_line_errors.py"),
    ],
)
def test_error_is_one_line(error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(error) == code
    written = capsys.readouterr()
    assert written.err.startswith(line) and written.err.count("\n") == 1 and not written.out


def test_traceback_is_raised_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    for error in (KeyError("width"), NasError("key=1: wrong."), FileNotFoundError(2, "No such file", "a.json")):
        with pytest.raises(type(error)):
            run(error)
    assert run(KeyboardInterrupt()) == 130
