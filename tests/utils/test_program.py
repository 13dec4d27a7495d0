"""Names of the commands in messages."""

from __future__ import annotations

import sys

import pytest

from nas.utils import program


@pytest.mark.parametrize(
    ("started", "name"),
    [
        ("search.py", "python train.py"),
        ("/env/bin/nas-search", "nas-train"),
        ("nas-search.exe", "nas-train"),
        (str(program.PACKAGE / "cli" / "search.py"), "python -m nas train"),
    ],
)
def test_checkout_names_the_commands_that_were_started(
    started: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "INSTALLED", False)
    monkeypatch.setattr(sys, "argv", [started])
    assert program.program("train") == name


@pytest.mark.parametrize("flag", [["-cd", "my conf"], ["--config-dir=my conf"], ["--config-dir", "my conf"]])
def test_job_command_has_the_configuration_directory(flag: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "INSTALLED", False)
    monkeypatch.setattr(sys, "argv", ["search.py", "-m", "seed=0,1", *flag, "~callbacks.cell_plots"])
    assert program.job_command("train") == "python train.py -cd 'my conf'"
    for arguments in (["-m", "seed=0,1"], ["-c", "job"], ["--cfg", "job"]):
        monkeypatch.setattr(sys, "argv", ["search.py", *arguments])
        assert program.job_command("train") == "python train.py"
    monkeypatch.setattr(sys, "argv", ["search.py", "-m", "seed=0,1"])
    assert program.job_command("train") == "python train.py"
    monkeypatch.setattr(sys, "argv", ["search.py", "--config-dir"])
    assert program.job_command("train") == "python train.py"
