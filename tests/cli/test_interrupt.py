"""Ctrl-C in a run: one line with the command that resumes it."""

from __future__ import annotations

from pathlib import Path

from tests.support.error_tools import SEARCH, bomb, hydra_files, run, snapshot, unfinished


def test_interrupt_keeps_the_last_epoch_and_names_the_resume_command(short_search: Path, tmp_path: Path) -> None:
    directory = unfinished(short_search, tmp_path / "run")
    before = snapshot(directory)
    found = run("search", f"ckpt_path={directory}", bomb("interrupt"))
    found.refused("interrupted", f"Resume with ckpt_path={directory}", code=130)
    after = snapshot(directory)
    assert {name for name in after if after[name] != before.get(name)} <= hydra_files(after)
    found = run("search", *SEARCH, f"hydra.run.dir={tmp_path}/new", bomb("interrupt", epoch=0))
    found.refused("before the first epoch ended", "Start from scratch", code=130)
    run("search", f"ckpt_path={directory}", "~callbacks.bomb").succeeded()
