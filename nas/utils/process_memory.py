"""Memory of a process that evaluates many networks in turn: fewer page faults, shorter garbage collections."""

from __future__ import annotations

import ctypes
import gc
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Options of mallopt(3)."""
LARGEST_HEAP_BLOCK = 32 << 20
"""Bytes of the largest block that glibc takes from the heap."""
KEPT = (1 << 31) - 1
"""Bytes at the end of the heap that are not returned to the system."""


def keep_freed_memory() -> bool:
    """Keep freed memory in this process, and return whether its allocator supports this.

    The allocator of glibc returns the tensors of a network to the system when they are freed. The next network then
    needs a page fault for each 4 kB. The memory of the process remains at its peak.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another libc
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST_HEAP_BLOCK)) and bool(mallopt(TRIM_THRESHOLD, KEPT))


def exempt_present_objects() -> None:
    """Exempt all present objects from later garbage collections, which would traverse the objects of all packages."""
    gc.collect()
    gc.freeze()
