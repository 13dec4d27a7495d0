"""Tests of error messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.utils import errors
from nas.utils.errors import NasError, one_line, unexplained, unknown


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


def error_of(calls: list[tuple[Path, str]]) -> Exception:
    """Return an error that passes functions of files, each of which calls the next one."""
    names: dict[str, object] = {}
    for file, code in reversed(calls):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"def call():\n    {code}\n")
        inner = names.get("call")
        names = {"inner": inner}
        exec(compile(file.read_text(), str(file), "exec"), names)
    with pytest.raises(Exception) as raised:
        names["call"]()  # type: ignore[operator]
    return raised.value


def test_place_of_an_error_is_the_last_code_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error passes a notebook, this package, a custom part, and a library that the part calls."""
    monkeypatch.setattr(errors, "PACKAGE", tmp_path / "nas")
    monkeypatch.setattr(errors.sysconfig, "get_path", lambda name: str(tmp_path / "lib"))
    notebook, step, part, library = (
        tmp_path / name for name in ("notebook.py", "nas/step.py", "part.py", "lib/torch.py")
    )
    plugin = tmp_path / "hydra_plugins" / "launcher.py"
    go, fail = "inner()", "raise KeyError('val')"
    custom = [(notebook, go), (step, go), (plugin, go), (step, go), (part, go), (library, fail)]
    assert unexplained(error_of(custom)) == "unexpected KeyError: 'val' in part.py:2"
    assert unexplained(error_of([*custom[:-1], (step, fail)])) == "unexpected KeyError: 'val' in part.py:2"
    assert (
        unexplained(error_of([(notebook, go), (step, go), (library, fail)]))
        == "unexpected KeyError: 'val' in torch.py:2"
    )
