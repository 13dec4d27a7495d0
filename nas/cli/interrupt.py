"""Ctrl-C and SIGTERM: recognize them, and name the command that resumes the run."""

from __future__ import annotations

from pathlib import Path

from nas.cli.run_dir.command import config_dir_flag
from nas.cli.run_dir.layout import holds_ranking, holds_repetitions, last_checkpoint

INTERRUPTED = 130
"""Exit code of a process that Ctrl-C or SIGTERM stopped."""


def is_interrupt(stop: BaseException) -> bool:
    """Return whether Ctrl-C or SIGTERM caused an exit. Lightning turns both into SystemExit."""
    cause: BaseException | None = stop
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt) or type(cause).__name__ == "SIGTERMException":
            return True
        cause = cause.__context__
    return False


def how_to_resume(output: Path) -> str:
    """Return the line that names the resume command of the run in ``output``."""
    resume = f"{config_dir_flag()}ckpt_path={output}"
    if holds_ranking(output):
        return f"interrupted: all values so far are kept. Resume with {resume}"
    if holds_repetitions(output):
        return f"interrupted: all finished repetitions are kept. Resume with {resume}"
    if last_checkpoint(output) is None:
        return f"interrupted before the first epoch ended: there is no checkpoint in {output}. Start from scratch."
    return f"interrupted: the last complete epoch is kept. Resume with {resume}"
