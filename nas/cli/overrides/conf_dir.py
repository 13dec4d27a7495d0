"""Folder of the configuration files: nas/conf of an installed package, or conf/ of a checkout."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]
INSTALLED = PACKAGE / "conf"  # the wheel holds a copy of conf/ there; a checkout has no such folder
CONF = INSTALLED if INSTALLED.is_dir() else PACKAGE.parent / "conf"
