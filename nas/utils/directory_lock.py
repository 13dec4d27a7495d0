"""Exclusive lock of a directory, held by one process."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nas.utils.errors import NasError
from nas.utils.file_lock import try_lock
from nas.utils.mounts import has_local_locks_only
from nas.utils.read_file import read_bytes
from nas.utils.user_path import real_path

LOCK_FILE = ".lock"
MAX_BYTES = 1 << 12
FLAGS = os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Flags to open a file that another user may have replaced by a link or a named pipe."""
PATIENCE = 1.0  # seconds: a killed process holds its locks until the operating system has removed it


class DirectoryInUseError(NasError):
    """Another process holds the lock of a directory."""


class DirectoryLock:
    """Lock of a directory, held until ``release`` or the end of the process.

    The operating system releases the lock of a process that is killed. The lock is the file ``.lock`` in the
    directory, locked by flock(2); it stores the holder and is removed on release. A process may lock a directory
    several times. Child processes do not inherit the lock.

    Args:
        directory: directory to lock; created if absent, with its parents, and removed again on release if empty.
        label: name of the directory in error messages, such as ``hydra.run.dir``.
        kind: content of the directory, stored in the file for other processes: "run" or "sweep".
        required: whether a file system without locks is an error; if not, the directory is not locked there.
        launch: text by which the other ranks of a distributed run find the lock of their first rank.

    Raises:
        DirectoryInUseError: if another process holds the lock.
        NasError: if the directory cannot be written, or its file system has no locks that all hosts share.
    """

    _held: dict[Path, DirectoryLock] = {}

    def __init__(
        self, directory: Path, label: str, kind: str = "run", required: bool = True, launch: str | None = None
    ) -> None:
        self.directory = directory.absolute()
        self.label = label
        self._key = real_path(self.directory)
        self._descriptor: int | None = None
        self._absent = [path for path in (self.directory, *self.directory.parents) if not path.exists()]
        self._owner = self._held.get(self._key)
        if self._owner is not None:
            return
        try:
            self._acquire(required)
            self._write(kind, launch)
        except BaseException as error:
            if self._descriptor is not None and os.fstat(self._descriptor).st_size == 0:  # no process has used it
                (self.directory / LOCK_FILE).unlink(missing_ok=True)
            self._close()
            self._remove_empty()
            if isinstance(error, OSError):
                raise NasError(
                    f"{label}: cannot write to {directory} ({error.strerror}). Choose another directory."
                ) from None
            raise
        self._held[self._key] = self

    def release(self) -> None:
        """Release the lock and remove its file. Does nothing if it is released already or was taken earlier."""
        if self._owner is not None or self._held.get(self._key) is not self:
            return
        del self._held[self._key]
        if self._descriptor is not None:
            with suppress(OSError):  # while the lock is held: the file cannot be that of another process
                (self.directory / LOCK_FILE).unlink()
        self._close()
        self._remove_empty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _acquire(self, required: bool) -> None:
        """Open and lock the file. Raise OSError if the directory cannot be written."""
        deadline = time.monotonic() + PATIENCE
        while not self._try_once(required):
            self._close()
            if time.monotonic() > deadline:
                raise DirectoryInUseError(
                    f"{self.label}: {self.directory} is in use by {describe_holder(self.directory)}. Wait for it, stop "
                    "it, or choose another directory."
                )
            time.sleep(0.05)

    def _try_once(self, required: bool) -> bool:
        """Return whether the lock could be taken; False if another process holds it or has just removed its file."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if required and has_local_locks_only(self.directory):
            raise self._unsupported("locks only within one host")
        path = self.directory / LOCK_FILE
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | FLAGS, 0o666)
        except FileNotFoundError:  # the directory of a refused process, removed by it
            return False
        try:
            return try_lock(self._descriptor) and _is_file(self._descriptor, path)
        except OSError as error:
            if required:
                raise self._unsupported(f"no locks ({error.strerror})") from None
            return True

    def _unsupported(self, reason: str) -> NasError:
        return NasError(
            f"{self.label}: the file system of {self.directory} has {reason}, so that another process could write to "
            "the same directory. Choose another file system, or set extras.require_lock=false."
        )

    def _write(self, kind: str, launch: str | None) -> None:
        assert self._descriptor is not None
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "kind": kind}
        content = json.dumps(holder if launch is None else {**holder, "launch": launch}).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, content, 0)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _remove_empty(self) -> None:
        """Remove the directories that did not exist before, unless something has been written to them."""
        for path in self._absent:
            with suppress(OSError):
                path.rmdir()


def is_locked_here(directory: Path) -> bool:
    """Return whether this process holds the lock of a directory."""
    return real_path(directory) in DirectoryLock._held


def read_holder(directory: Path) -> dict[str, Any]:
    """Return process, host and kind of the last holder of the lock, empty if they are unknown."""
    try:
        content = json.loads(read_bytes(directory / LOCK_FILE, MAX_BYTES))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def describe_holder(directory: Path) -> str:
    """Return the name of the process that holds the lock of a directory."""
    holder = read_holder(directory)
    return f"process {holder['pid']} on {holder['host']}" if {"pid", "host"} <= holder.keys() else "another process"


def is_locked(directory: Path) -> bool:
    """Return whether any process, this one included, holds the lock of a directory."""
    if is_locked_here(directory):
        return True
    try:
        descriptor = os.open(directory / LOCK_FILE, os.O_RDONLY | FLAGS)
    except OSError:
        return False
    try:
        return not try_lock(descriptor, shared=True)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _is_file(descriptor: int, path: Path) -> bool:
    """Return whether an open file is still the file at ``path``."""
    try:
        status, opened = os.stat(path), os.fstat(descriptor)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (opened.st_dev, opened.st_ino)


def _forget_in_child() -> None:
    """Close the files of the locks in a forked process, which otherwise would hold them longer than its parent."""
    for lock in DirectoryLock._held.values():
        with suppress(OSError):
            lock._close()
    DirectoryLock._held.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_in_child)
