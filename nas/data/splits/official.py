"""Official list of images of NAS-Bench-201 in the data directory, fetched if it is missing."""

from __future__ import annotations

import functools
import logging
from pathlib import Path

import pytorch_lightning as pl

from nas.utils.atomic_write import publish, temporary_file, write_json
from nas.utils.errors import NasError, one_line
from nas.utils.read_file import read_bytes, read_json
from nas.utils.remote_file import RemoteFile, fetch

log = logging.getLogger(__name__)

TIMEOUT = 5.0  # seconds for the whole attempt, since a run must not wait for an unavailable network
EQUAL_HALVES = "equal halves (official list not found)"
"""Name of the split without the list, for summary.json and the record of a run."""


class OfficialSplit:
    """The list of one data set: read from ``root``, fetched from the authors' repository, or not available.

    A run that was resumed, or that continues another run, uses the same images as that one (``follow``).

    Args:
        file: the published list.
        root: directory of the data.
        download: fetch a missing list.
        record: file that stores the choice of this run, and is followed if it exists; None: no record.
    """

    def __init__(self, file: RemoteFile, root: Path, download: bool, record: Path | None = None) -> None:
        self.file, self.root, self.download, self.record = file, root, download, record
        self.problem = "prepare_data() was not called"
        self._followed: Path | None = None
        self._fetched = b""

    @property
    def path(self) -> Path:
        """Path of the list in the data directory."""
        return self.root / self.file.name

    @property
    def name(self) -> str:
        """Name of the split with the list, for summary.json and the record of a run."""
        return f"official list of NAS-Bench-201 ({self.file.name})"

    def follow(self, record: Path) -> None:
        """Use the split of an earlier run if ``record`` exists."""
        if record.is_file():
            self._followed = record

    def fetch(self) -> None:
        """Fetch the list if it is missing and needed. A failure is cached for later jobs of this process."""
        if self.path.exists() or self._recorded() == EQUAL_HALVES:
            return
        if not self.download:
            self.problem = "dataset.download=false"
            return
        self._fetched, self.problem = _fetch_once(self.file)
        if self._fetched:
            _write_new(self.path, self._fetched)

    def choose(self, trainer: pl.Trainer | None) -> str | None:
        """Return the content of the list, None for equal halves, and record the choice: that of the first rank.

        Raises:
            NasError: on all ranks, see ``read``.
        """
        if trainer is None:
            self.fetch()
        first = trainer is None or trainer.is_global_zero
        content = self._try_to_read() if first else None
        if trainer is not None:
            content = trainer.strategy.broadcast(content)
        if isinstance(content, NasError):
            raise content
        if first:
            self._write_record(content is not None)
        if first and content is None:
            log.info(
                "split          equal halves: %s is not available (%s). To get it: python -m nas data get splits",
                *(self.path, self.problem),
            )
        return content

    def _try_to_read(self) -> str | NasError | None:
        try:
            return self.read()
        except NasError as error:
            return error

    def read(self) -> str | None:
        """Return the content of the list, None for equal halves.

        Raises:
            NasError: if the file is another one than the published list, or is unavailable for a run that used it.
        """
        recorded = self._recorded()
        if recorded == EQUAL_HALVES:
            self.problem = f"the run of {self._record_file()} used them"
            return None
        try:
            content = read_bytes(self.path)
        except FileNotFoundError:
            content = self._fetched  # the directory may be read-only
        except (OSError, ValueError) as error:
            raise NasError(f"{self.path}: cannot be read ({one_line(error)}).") from error
        if content and not self.file.fits(content):
            raise NasError(
                f"{self.path}: is not the published list ({self.file.algorithm} {self.file.digest}). Move it away, "
                "or set its path as dataset.split (CIFAR-10) or dataset.test_split."
            )
        if not content and recorded is not None:
            raise NasError(
                f"{self._record_file()}: the run used {self.file.name}, which is missing from "
                f"{self.root.absolute()} ({self.problem}). Run: python -m nas data get splits"
            )
        return content.decode() if content else None

    def _write_record(self, official: bool) -> None:
        """Store the choice of this run in ``record``."""
        if self.record is not None and not self.record.is_file():
            self.record.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.record, {"list": self.file.name, "split": self.name if official else EQUAL_HALVES})

    def _record_file(self) -> Path | None:
        return self.record if self.record is not None and self.record.is_file() else self._followed

    def _recorded(self) -> str | None:
        """Return the name of the split that the record names, None without a record."""
        path = self._record_file()
        if path is None:
            return None
        try:
            content = read_json(path)
            split, of = content["split"], content["list"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NasError(
                f"{path}: is damaged ({one_line(repr(error))}). Delete it to choose the split again."
            ) from None
        return str(split) if of == self.file.name else None  # None: the record is of another data set


@functools.cache
def _fetch_once(file: RemoteFile) -> tuple[bytes, str]:
    """Return the content and "", or nothing and the problem."""
    try:
        return fetch(file, TIMEOUT), ""
    except NasError as error:
        return b"", str(error)


def _write_new(path: Path, content: bytes) -> None:
    """Write a file unless it exists; another process may write the same one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_file(path, content) as temporary:
            publish(temporary, path)
    except OSError as error:
        log.warning("%s: cannot be written (%s)", path, one_line(error.strerror or error))
