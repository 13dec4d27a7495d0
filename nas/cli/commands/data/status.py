"""State of the files of an entry of the catalog: paths, available files and checksums."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from nas.cli.commands.data.catalog import Entry
from nas.utils.errors import NasError, one_line

MISSING, DAMAGED, MATCHES, UNKNOWN = "missing", "DIFFERS", "matches", "-"


@dataclass(frozen=True)
class Status:
    """State of an entry.

    Args:
        where: path of the files, or the expected path.
        available: "yes", "missing" or the available part, such as "3 of 8 files".
        checksum: MATCHES, DAMAGED, or UNKNOWN if nothing was compared.
        size: bytes on the disk, 0 if there are none.
        problem: error for the first file that differs, "" if there is none.
    """

    where: Path
    available: str
    checksum: str = UNKNOWN
    size: int = 0
    problem: str = ""


def status_of(entry: Entry, data: Path, benchmark: Path) -> Status:
    """Find the files of an entry and verify their known checksums."""
    if entry.notation:
        return _table_status(entry, benchmark)
    if entry.archive is not None:
        return _archive_status(entry, data)
    if entry.folder:
        return _folder_status(entry, data)
    checks = [(data / file.name, _matches(file.digest, file.file_digest, data / file.name)) for file in entry.files]
    where = data / entry.files[0].name if len(entry.files) == 1 else (data / entry.files[0].name).parent
    return _summary(where, checks)


def _archive_status(entry: Entry, data: Path) -> Status:
    archive = entry.archive
    assert archive is not None
    folder, packed = data / archive.folder, data / archive.file
    checks = [(folder / name, _matches(md5, _md5, folder / name)) for name, md5 in archive.files.items()]
    if not any(path.is_file() for path, _ in checks):
        return _summary(packed, [(packed, _matches(archive.md5, _md5, packed))])
    return _summary(folder, checks)


def _folder_status(entry: Entry, data: Path) -> Status:
    folder = data / entry.folder
    if entry.checksums is None:
        parts = [part for part in ("train", "val") if (folder / part).is_dir()]
        return Status(folder, "yes" if len(parts) == 2 else f"{parts[0]}/ only" if parts else MISSING)
    if not folder.is_dir() and (data / next(iter(entry.checksums))).is_file():
        folder = data
    checks = [(folder / name, _matches(md5, _md5, folder / name)) for name, md5 in entry.checksums.items()]
    return _summary(folder, checks)


def _table_status(entry: Entry, benchmark: Path) -> Status:
    # imported here, since pyarrow takes a while to load
    from nas.benchmarks.find import find_file

    try:
        file = find_file(benchmark, entry.notation)
    except NasError as error:
        return Status(benchmark, "yes", DAMAGED, 0, one_line(error).removeprefix("benchmark: "))
    if file is None:
        return Status(benchmark / entry.table_name, MISSING)
    return Status(file.path, "yes", MATCHES if file.verified else UNKNOWN, file.path.stat().st_size)


def _summary(where: Path, checks: Iterable[tuple[Path, bool | None]]) -> Status:
    """Summarize checks: None for a missing file, else whether its checksum matches."""
    checks = list(checks)
    existing = [(path, matches) for path, matches in checks if matches is not None]
    part = _partial([path for path, _ in checks])
    if not existing:
        return Status(where, part or MISSING)
    available = "yes" if len(existing) == len(checks) else f"{len(existing)} of {len(checks)} files"
    wrong = [path for path, matches in existing if not matches]
    size = sum(path.stat().st_size for path, _ in existing)
    problem = f"{wrong[0]} is not the published file. Move it away and get it again." if wrong else ""
    return Status(where, available, DAMAGED if wrong else MATCHES, size, problem)


def _partial(paths: Iterable[Path]) -> str:
    """Return the size of an interrupted download, "" if there is none."""
    parts = [path.with_name(f"{path.name}.part") for path in paths]
    done = sum(part.stat().st_size for part in parts if part.is_file())
    return f"{done / 1e6:.0f} MB partial" if done else ""


def _matches(digest: str, digest_of: Callable[[Path], str], path: Path) -> bool | None:
    """Return whether a file has this checksum, None if there is no file."""
    if not path.is_file():
        return None
    try:
        return digest_of(path) == digest
    except OSError:
        return False


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def readable(path: Path) -> str:
    """Return a path as short as possible: relative to the current directory if it is below it."""
    try:
        return str(path.absolute().relative_to(Path(os.getcwd())))
    except ValueError:
        return str(path)
