"""Settings of the memory allocator of the C library."""

from __future__ import annotations

import ctypes
import os

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of the parameters of ``mallopt`` in glibc."""
LARGEST_BLOCK = 32 << 20
"""Bytes of the largest block that is kept, the limit of glibc."""
LARGEST_TRIM = (1 << 31) - 1


def keep_freed_memory() -> bool:
    """Keep freed memory for later allocations of this process, instead of returning it to the operating system.

    A training step frees all of its features. By default glibc returns them, and the next step waits for new pages.
    Blocks of more than 32 MiB are still returned. Environment variables ``MALLOC_...`` and ``GLIBC_TUNABLES`` have
    priority.

    Returns:
        False if the C library has no such setting, or the environment has its own.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST_BLOCK)) and bool(mallopt(TRIM_THRESHOLD, LARGEST_TRIM))
