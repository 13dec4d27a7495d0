"""Tests of scripts in processes that fork from one with PyTorch imported."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import nas.cli
from tests.support.compose_tools import ROOT, script
from tests.support.forked_script import forked_script, preloaded_processes
from tests.support.query_tools import KILL
from tests.support.resume_tools import arguments_of


def test_output_and_exit_code_are_those_of_a_script(tmp_path: Path) -> None:
    for arguments in (["metod=gdas"], ["--list", "gdas", "nb201"]):
        name = "train" if "--list" in arguments else "search"
        plain, forked = (start(name, *arguments, cwd=tmp_path) for start in (script, forked_script))
        assert (plain.returncode, plain.stdout, plain.stderr) == (forked.returncode, forked.stdout, forked.stderr)
    assert list(tmp_path.iterdir()) == []


def test_process_can_be_killed_and_has_its_own_environment(tmp_path: Path) -> None:
    kill = KILL.format(flag="${oc.env:FLAG}", epoch=0, batch=0)
    options = [*arguments_of("one_shot"), "~callbacks.cell_plots", "hydra.run.dir=run", kill]
    found = forked_script("search", *options, cwd=tmp_path, env={"FLAG": str(tmp_path / "flag")})
    assert found.returncode == -signal.SIGKILL, found.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flag", "run"]


def test_modules_are_those_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    process = preloaded_processes().Process(target=_write_place, args=(tmp_path / "place",))
    process.start()
    process.join(60)
    assert (tmp_path / "place").read_text() == str(ROOT / "nas" / "cli" / "__init__.py")


def _write_place(file: Path) -> None:
    file.write_text(str(nas.cli.__file__))
