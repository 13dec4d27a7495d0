"""Name of the commands: those of the installed package, or of a checkout."""

from __future__ import annotations

from pathlib import Path

INSTALLED = (Path(__file__).resolve().parents[1] / "conf").is_dir()
"""True for an installed package: a wheel holds a copy of conf/, a checkout has none inside the package."""


def program(job: str) -> str:
    """Return the command of a job, "search" or "train"."""
    return f"nas-{job}" if INSTALLED else f"python {job}.py"
