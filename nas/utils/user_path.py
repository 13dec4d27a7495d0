"""Paths as users write them: ``~`` for a home directory, and symbolic links."""

from __future__ import annotations

import os
from pathlib import Path


def user_path(given: str | Path) -> Path:
    """Return the path with the home directory in place of ``~`` and ``~USER``.

    The name of an unknown user stays as it is, as in a shell. ``Path.expanduser`` raises RuntimeError for it.
    """
    return Path(os.path.expanduser(given))


def real_path(path: str | Path) -> Path:
    """Return the absolute path without symbolic links.

    A link to itself stays as it is. ``Path.resolve`` raises RuntimeError for it before Python 3.13.
    """
    return Path(os.path.realpath(path))
