"""Name of the commands: those of the installed package, or of a checkout."""

from __future__ import annotations

import sys
from pathlib import Path

INSTALLED = (Path(__file__).resolve().parents[1] / "conf").is_dir()
"""True for an installed package: a wheel holds a copy of conf/, a checkout has none inside the package."""


def program(job: str) -> str:
    """Return the command of a job, "search" or "train".

    An editable installation is a checkout with the commands ``nas-search`` and ``nas-train``. They run in directories
    without ``search.py``, so the command that runs now determines the form of the name.
    """
    return f"nas-{job}" if INSTALLED or Path(sys.argv[0]).stem.startswith("nas-") else f"python {job}.py"
