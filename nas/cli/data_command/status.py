"""State of the files of an entry of the catalog: where they are looked for, which are there, and their checksums."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from nas.cli.data_command.catalog import Entry
from nas.utils.errors import NasError, one_line

MISSING, DAMAGED, FITS, UNKNOWN = "missing", "DIFFERS", "fits", "-"


@dataclass(frozen=True)
class Status:
    """State of an entry.

    Args:
        where: the place where the files are, or are looked for.
        there: how many of them are there.
        checksum: FITS, DAMAGED, or UNKNOWN if nothing was compared.
        size: bytes on the disk, 0 for none.
        problem: the first file that differs, "" for none.
    """

    where: Path
    there: str
    checksum: str = UNKNOWN
    size: int = 0
    problem: str = ""


def status_of(entry: Entry, data: Path, benchmark: Path) -> Status:
    """Look at the files of an entry and verify the checksums that are known."""
    if entry.notation:
        return _table_status(entry, benchmark)
    if entry.archive is not None:
        return _archive_status(entry, data)
    if entry.folder:
        return _folder_status(entry, data)
    checks = [(data / file.name, _fits(file.digest, file.file_digest, data / file.name)) for file in entry.files]
    where = data / entry.files[0].name if len(entry.files) == 1 else (data / entry.files[0].name).parent
    return _summary(where, checks)


def _archive_status(entry: Entry, data: Path) -> Status:
    archive = entry.archive
    assert archive is not None
    folder, packed = data / archive.folder, data / archive.file
    checks = [(folder / name, _fits(md5, _md5, folder / name)) for name, md5 in archive.files.items()]
    if not any(path.is_file() for path, _ in checks):
        return _summary(packed, [(packed, _fits(archive.md5, _md5, packed))])
    return _summary(folder, checks)


def _folder_status(entry: Entry, data: Path) -> Status:
    folder = data / entry.folder
    if entry.checksums is None:
        parts = [part for part in ("train", "val") if (folder / part).is_dir()]
        return Status(folder, "yes" if len(parts) == 2 else f"{parts[0]}/ only" if parts else MISSING)
    if not folder.is_dir() and (data / next(iter(entry.checksums))).is_file():
        folder = data
    return _summary(folder, [(folder / name, _fits(md5, _md5, folder / name)) for name, md5 in entry.checksums.items()])


def _table_status(entry: Entry, benchmark: Path) -> Status:
    # imported here, since pyarrow takes a while to load
    from nas.benchmarks.find import find_table
    from nas.benchmarks.parquet_table import ParquetTable

    try:
        table = find_table(benchmark, entry.notation)
    except NasError as error:
        return Status(benchmark, "yes", DAMAGED, 0, one_line(error).removeprefix("benchmark: "))
    if not isinstance(table, ParquetTable):
        return Status(benchmark / f"{entry.notation}.parquet", MISSING)
    return Status(table.path, "yes", FITS if table.verified else UNKNOWN, table.path.stat().st_size)


def _summary(where: Path, checks: Iterable[tuple[Path, bool | None]]) -> Status:
    """Summarize checks: None for a missing file, else whether its checksum fits."""
    checks = list(checks)
    found = [(path, fits) for path, fits in checks if fits is not None]
    part = _partial([path for path, _ in checks])
    if not found:
        return Status(where, part or MISSING)
    there = "yes" if len(found) == len(checks) else f"{len(found)} of {len(checks)} files"
    wrong = [path for path, fits in found if not fits]
    size = sum(path.stat().st_size for path, _ in found)
    problem = f"{wrong[0]} is not the published file. Move it away and get it again." if wrong else ""
    return Status(where, there, DAMAGED if wrong else FITS, size, problem)


def _partial(paths: Iterable[Path]) -> str:
    """Return how much of an interrupted download is there, "" for nothing."""
    parts = [path.with_name(f"{path.name}.part") for path in paths]
    done = sum(part.stat().st_size for part in parts if part.is_file())
    return f"{done / 1e6:.0f} MB partly" if done else ""


def _fits(digest: str, digest_of: Callable[[Path], str], path: Path) -> bool | None:
    """Return whether a file has a checksum, None if there is no file."""
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
