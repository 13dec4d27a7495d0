"""Errors that packages raise on import because of an environment variable."""

from __future__ import annotations

import os
import traceback

from nas.utils.errors import one_line

CACHE, BACKEND = "TORCHINDUCTOR_CACHE_DIR", "MPLBACKEND"


def environment_error(error: BaseException) -> str | None:
    """Return the line for an environment variable that PyTorch or Matplotlib rejects, None for any other error."""
    if isinstance(error, OSError):
        return _cache_error(error)
    if isinstance(error, ValueError) and BACKEND in os.environ and str(error).startswith("Key backend:"):
        return f"{BACKEND}={os.environ[BACKEND]}: Matplotlib has no such backend here. Run unset {BACKEND}."
    return None


def _cache_error(error: OSError) -> str | None:
    """Return the line for a directory of compiled code that cannot be created.

    PyTorch creates the directory when a part of it is imported, also in runs that compile nothing.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not any(frame.name == "cache_dir" and "_inductor" in frame.filename for frame in frames):
        return None
    reason = os.strerror(error.errno).lower() if error.errno else one_line(error)
    return (
        f"{CACHE}={os.environ.get(CACHE, '')}: PyTorch cannot create its directory of compiled code ({reason}). "
        f"Set {CACHE} to a writable directory."
    )
