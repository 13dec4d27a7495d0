"""Download of an entry of the catalog into the data directory."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from nas.cli.commands.data.catalog import CATALOG, DriveFile, Entry
from nas.cli.commands.data.status import DAMAGED, readable, status_of
from nas.utils.atomic_write import publish
from nas.utils.created_directory import created_directory
from nas.utils.download import Report, download
from nas.utils.errors import NasError, one_line, unknown
from nas.utils.progress_bar import progress_bar

log = logging.getLogger(__name__)


def get(names: list[str], data: Path, benchmark: Path) -> None:
    """Download entries, verify them and unpack them; existing files are only verified.

    Raises:
        NasError: for an unknown name, before anything is downloaded, or for the first entry that cannot be downloaded.
    """
    for name in names:
        if name not in CATALOG:
            raise unknown("data", name, CATALOG)
    for name in names:
        entry = CATALOG[name]
        if not entry.downloadable:
            raise NasError(_by_hand(name, entry, data, benchmark))
        if entry.drive is not None:
            _get_table(name, entry, entry.drive, benchmark)
        else:
            _get_files(name, entry, data)


def _by_hand(name: str, entry: Entry, data: Path, benchmark: Path) -> str:
    if entry.note:
        return f"data get {name}: nothing to download; it is {entry.note}. Set dataset={name}."
    if entry.convert:
        table = readable(benchmark / entry.table_name)
        return (
            f"data get {name}: has no direct address. Download it from {entry.source} and run python -m nas convert "
            f"{entry.convert} {table}"
        )
    folder = (data / entry.folder).absolute()
    return f"data get {name}: has no public address. Download it from {entry.source} into {folder}."


def _get_files(name: str, entry: Entry, data: Path) -> None:
    status = status_of(entry, data, data)
    if status.checksum == DAMAGED:
        raise NasError(f"data get {name}: {status.problem}")
    if status.available == "yes" and entry.archive is None:
        log.info("%-15s is available and verified: %s", name, readable(status.where))
        return
    files = entry.files if entry.archive is None else (entry.archive.remote,)
    for file in files if entry.archive is None or entry.archive.missing(data) else ():
        with _progress(file.name) as report:
            new = download(file, data, report)
        log.info("%-15s %s: %s", name, "downloaded and verified" if new else "verified", readable(data / file.name))
    if entry.archive is not None:
        entry.archive.prepare(data, download=False)
        log.info("%-15s is available and verified: %s", name, readable(data / entry.archive.folder))


def _get_table(name: str, entry: Entry, drive: DriveFile, benchmark: Path) -> None:
    """Download a release from Google Drive and convert it to a table."""
    from nas.benchmarks.convert import convert

    status = status_of(entry, benchmark, benchmark)
    if status.checksum == DAMAGED:
        raise NasError(f"data get {name}: {status.problem}")
    if status.available == "yes":
        log.info("%-15s is available: %s", name, readable(status.where))
        return
    release, table = benchmark / drive.name, benchmark / entry.table_name
    if not release.is_file():
        _download_from_drive(name, drive, release, table)
    log.info("%-15s converting %s, which takes minutes", name, readable(release))
    log.info("%-15s %s", name, convert(release, table))


def _download_from_drive(name: str, drive: DriveFile, release: Path, table: Path) -> None:
    """Download by gdown, which confirms the warnings of Google Drive about large files."""
    try:
        gdown = importlib.import_module("gdown")
    except ImportError:
        raise NasError(
            f"data get {name}: needs gdown. Run pip install 'nas-compose[download]'; or download {drive.url} in a "
            f"browser and run python -m nas convert {drive.name} {table}"
        ) from None
    part = release.with_name(f"{release.name}.part")
    try:
        with created_directory(release.parent):
            gdown.download(id=drive.identifier, output=str(part), resume=True, quiet=not sys.stderr.isatty())
            if not part.is_file():
                raise OSError("Google Drive sent no file")
            if not publish(part, release):
                raise OSError(f"{release} appeared during the download")
    except Exception as error:  # gdown raises its own exceptions and those of requests
        raise NasError(
            f"data get {name}: the download of {drive.url} failed ({one_line(error)[:300]}). Run the same command "
            f"again to resume; or download it in a browser to {release.absolute()}."
        ) from error


@contextmanager
def _progress(name: str) -> Iterator[Report]:
    """Show the progress of a download on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with progress_bar(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
