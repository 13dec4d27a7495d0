"""Refused runs: an error before the first result leaves the run directories as they were."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nas.utils.atomic_write import write_atomically
from nas.utils.directory_lock import LOCK_FILE

Signature = tuple[int, int]
"""Time of the last change and size of a file."""


@contextmanager
def restored_if_refused(directories: Collection[Path], record: str | None) -> Iterator[None]:
    """Undo Hydra's record and the log of a run that ends with an error and has written nothing else.

    A new run leaves nothing. A resumed run keeps the record and the results that it had before. An interrupted run
    does not change.

    Args:
        directories: the run directories.
        record: name of the folder with Hydra's record in them, None if there is no record.
    """
    before = [_Directory.read(directory, record) for directory in directories]
    try:
        yield
    except (Exception, SystemExit) as error:
        refused = not isinstance(error, SystemExit) or error.code == 1
        if refused and not any(directory.has_results() for directory in before):
            for directory in before:
                directory.restore()
        raise


@dataclass(frozen=True)
class _Directory:
    """Files of a directory at one time.

    Attributes:
        path: the directory.
        record: name of the folder with Hydra's record.
        entries: signatures of its files and folders, without the record.
        saved: content of the files of the record by name.
    """

    path: Path
    record: str | None
    entries: dict[str, Signature]
    saved: dict[str, bytes]

    @classmethod
    def read(cls, path: Path, record: str | None) -> _Directory:
        """Read the present files of a directory, which may be missing."""
        saved = {} if record is None else {file.name: file.read_bytes() for file in _files(path / record)}
        return cls(path, record, _entries(path, record), saved)

    def has_results(self) -> bool:
        """Return whether a file has changed since then, except for the record and the logs."""
        changed = (name for name, found in _entries(self.path, self.record).items() if self.entries.get(name) != found)
        return any(self._is_result(self.path / name) for name in changed)

    def restore(self) -> None:
        """Restore the record, and remove new logs and empty folders."""
        with suppress(OSError):  # such as a full disk, whose error is reported already
            for name in (name for name in _entries(self.path, self.record) if name not in self.entries):
                _remove(self.path / name)
            if self.record is not None:
                self._restore_record(self.path / self.record)

    def _is_result(self, path: Path) -> bool:
        if not path.is_dir() or path.is_symlink():
            return path.suffix != ".log"
        return path.name in self.entries or any(files for _, _, files in os.walk(path))

    def _restore_record(self, folder: Path) -> None:
        for file in _files(folder):
            if file.name not in self.saved:
                file.unlink()
            elif file.read_bytes() != self.saved[file.name]:
                write_atomically(file, self.saved[file.name])
        if not self.saved:
            _remove(folder)


def _entries(directory: Path, record: str | None) -> dict[str, Signature]:
    """Return the signatures of the files and folders of a directory, without the record and the lock."""
    found = {}
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name not in (record, LOCK_FILE):
                status = entry.stat(follow_symlinks=False)
                found[entry.name] = (status.st_mtime_ns, status.st_size)
    return found


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def _remove(path: Path) -> None:
    """Remove a file, or a folder without files."""
    if not path.is_dir() or path.is_symlink():
        path.unlink()
        return
    for folder, _, _ in os.walk(path, topdown=False):
        with suppress(OSError):  # not empty
            os.rmdir(folder)
