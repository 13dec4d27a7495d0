"""Name of the commands: those of the installed package, or of a checkout."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
INSTALLED = (PACKAGE / "conf").is_dir()
"""True for an installed package: a wheel holds a copy of conf/, a checkout has none inside the package."""


def program(job: str) -> str:
    """Return the command of a job, "search" or "train".

    An editable installation is a checkout with the commands ``nas-search`` and ``nas-train``. They run in directories
    without ``search.py``, as ``python -m nas`` does, so the command that runs now determines the form of the name.
    """
    if INSTALLED or Path(sys.argv[0]).stem.startswith("nas-"):
        return f"nas-{job}"
    return f"python -m nas {job}" if runs_as_module() else f"python {job}.py"


def job_command(job: str) -> str:
    """Return the command of a job, with the configuration directory (``-cd``) of the command that runs now."""
    return " ".join([program(job), *config_dir_flag()])


def config_dir_flag() -> list[str]:
    """Return the quoted flag ``-cd DIRECTORY`` of the command that runs now, empty if it has none."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("-cd", "--config-dir")
    parser.add_argument("-c", "--cfg")  # otherwise an abbreviation of -cd
    try:
        directory = parser.parse_known_args(sys.argv[1:])[0].config_dir
    except argparse.ArgumentError:
        directory = None
    return [] if directory is None else [f"-cd {shlex.quote(directory)}"]


def runs_as_module() -> bool:
    """Return whether ``python -m nas`` was started: the main module is a file of the package."""
    return PACKAGE in Path(sys.argv[0]).parents
