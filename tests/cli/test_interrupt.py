"""Ctrl-C in a run: one line with the command that resumes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.error_tools import SEARCH, bomb, run, snapshot, unfinished


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of a search of one epoch."""
    directory = tmp_path_factory.mktemp("searched") / "run"
    run("search", *SEARCH, f"hydra.run.dir={directory}").succeeded()
    return directory


def record(files: dict[str, str]) -> set[str]:
    """Return the files of Hydra's record."""
    return {name for name in files if name.startswith(".hydra/")}


def test_interrupt_keeps_the_last_epoch_and_names_the_resume_command(searched: Path, tmp_path: Path) -> None:
    directory = unfinished(searched, tmp_path / "run")
    before = snapshot(directory)
    found = run("search", f"ckpt_path={directory}", bomb("interrupt"))
    found.refused("interrupted", f"Resume with ckpt_path={directory}", code=130)
    after = snapshot(directory)
    assert {name for name in after if after[name] != before.get(name)} <= record(after)
    found = run("search", *SEARCH, f"hydra.run.dir={tmp_path}/new", bomb("interrupt", epoch=0))
    found.refused("before the first epoch ended", "Start from scratch", code=130)
    run("search", f"ckpt_path={directory}", "~callbacks.bomb").succeeded()
