"""Refused runs: an error before the first result leaves the run directories as they were."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nas.utils.atomic_write import write_atomically
from nas.utils.directory_lock import LOCK_FILE
from nas.utils.errors import is_interrupt

Signature = tuple[int, int]
"""Time of the last change and size of a file."""

CHECKPOINTS = "checkpoints"
RECORD_FILES = ("config.yaml", "hydra.yaml", "overrides.yaml")


@contextmanager
def restored_if_refused(directories: Collection[Path], record: str | None, log: str) -> Iterator[None]:
    """Undo Hydra's record and the log of a run that ends with an error and has written nothing else.

    A new run leaves nothing. A resumed run keeps the record and the results that it had before. Directories with any
    other new or changed file keep all their files, such as those of another process. So do interrupted runs.

    Args:
        directories: the run directories.
        record: name of the folder with Hydra's record in them, None if there is no record.
        log: name of the log of the run in them.
    """
    # inner directories first, so that the outer ones are empty
    paths = sorted({path.absolute() for path in directories}, key=lambda path: len(path.parts), reverse=True)
    inner = {path: [other.name for other in paths if other.parent == path] for path in paths}
    before = [_Directory.read(path, record, log, inner[path]) for path in paths]
    try:
        yield
    except (Exception, SystemExit) as error:
        refused = not is_interrupt(error) and (not isinstance(error, SystemExit) or error.code == 1)
        if refused and all(directory.is_unused() for directory in before):
            for directory in before:
                directory.restore()
        raise


@dataclass(frozen=True)
class _Directory:
    """Files of a directory at one time.

    Attributes:
        path: the directory.
        record: folder with Hydra's record, None if there is none.
        log: name of the log of the run.
        inner: names of the run directories in this one.
        entries: signatures of its files and folders, without the record and the lock.
        saved: content of the files of the record by name, None if the folder is missing.
    """

    path: Path
    record: Path | None
    log: str
    inner: Collection[str]
    entries: dict[str, Signature]
    saved: dict[str, bytes] | None

    @classmethod
    def read(cls, path: Path, record: str | None, log: str, inner: Collection[str]) -> _Directory:
        """Read the present files of a directory, which may be missing."""
        folder = None if record is None else path / record
        saved = None
        if folder is not None and folder.is_dir():
            saved = {name: (folder / name).read_bytes() for name in RECORD_FILES if (folder / name).is_file()}
        return cls(path, folder, log, inner, _entries(path, folder), saved)

    def is_unused(self) -> bool:
        """Return whether only the record, the log and empty folders of this run have changed since then."""
        try:
            now = _entries(self.path, self.record)
        except OSError:  # such as a file that another process removes at this moment
            return False
        changed = {name for name in {*now, *self.entries} if now.get(name) != self.entries.get(name)}
        return all(name in now and self._belongs_to_run(name) for name in changed)

    def restore(self) -> None:
        """Restore the record, and remove the new log and the new empty folder of the checkpoints."""
        with suppress(OSError):  # such as a full disk, whose error is reported already
            if self.log not in self.entries:
                (self.path / self.log).unlink(missing_ok=True)
            if CHECKPOINTS not in self.entries and (self.path / CHECKPOINTS).is_dir():
                (self.path / CHECKPOINTS).rmdir()
            if self.record is not None and self.record.is_dir():
                self._restore_record(self.record, self.saved)

    def _belongs_to_run(self, name: str) -> bool:
        is_new = name not in self.entries
        if name == CHECKPOINTS:
            return is_new and not any((self.path / name).iterdir())
        return name == self.log or (is_new and name in self.inner)

    @staticmethod
    def _restore_record(folder: Path, saved: dict[str, bytes] | None) -> None:
        for name in RECORD_FILES:
            content = None if saved is None else saved.get(name)
            if content is None:
                (folder / name).unlink(missing_ok=True)
            elif (folder / name).read_bytes() != content:
                write_atomically(folder / name, content)
        if saved is None:
            folder.rmdir()


def _entries(directory: Path, record: Path | None) -> dict[str, Signature]:
    """Return the signatures of the files and folders of a directory, without the record and the lock."""
    if not directory.is_dir():
        return {}
    found = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name != LOCK_FILE and (record is None or entry.name != record.name):
                status = entry.stat(follow_symlinks=False)
                found[entry.name] = (status.st_mtime_ns, status.st_size)
    return found
