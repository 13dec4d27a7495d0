"""Lock of an open file (flock), which the operating system releases when its process ends."""

from __future__ import annotations

import errno
import sys

if sys.platform != "win32":
    import fcntl

CONTENDED = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK)


def try_lock(descriptor: int, shared: bool = False) -> bool:
    """Lock an open file until it is closed, without waiting. Windows has no such lock, and files are not locked there.

    Args:
        descriptor: descriptor of the file; opening the file again gives a descriptor that does not own the lock.
        shared: take a lock that only excludes exclusive ones.

    Returns:
        False if another process, or another descriptor of this one, has locked the file.

    Raises:
        OSError: if the file system has no locks.
    """
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in CONTENDED:
            return False
        raise
    return True
